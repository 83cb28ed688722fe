"""Which turns lack their text, and how what was read is stored again: over a real database."""

from dataclasses import replace
from typing import Any

import pytest

from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind, SessionRecord, SessionState, TurnLife, TurnRecord
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import Invalid
from minuted_daemon.ports.store import REDACTED, OwedTurn
from tests.adapters.storage.examples import SESSION, interval, overlap, session, speaker, turn

NONE: dict[str, Any] = {"text": "", "text_source": TextSource.NONE}
SOME: dict[str, Any] = {"text": "I would", "text_source": TextSource.PROVISIONAL}


async def owed(store: SqlStore, limit: int = 100) -> list[OwedTurn]:
    found: list[OwedTurn] = []
    token = None
    while True:
        page = await store.owed_turns(SESSION, limit, token)
        assert len(page.items) <= limit
        found += page.items
        token = page.next_token
        if token is None:
            return found


async def test_turns_without_all_of_their_text_are_owed_it_between_their_neighbours(store: SqlStore) -> None:
    ada, bob = speaker(1), speaker(2)
    other = session("01J00000000000000000000002", "lab")
    stored = await store.write(
        [
            session(),
            other,
            ada,
            bob,
            turn(1, start=0, end=100, **NONE),
            turn(2, start=150, end=300),
            turn(3, ada, start=310, end=400, overlapping=(overlap(bob),), **SOME),
            turn(4, start=400, end=500, **NONE),
            turn(5, start=420, end=440, life=TurnLife.RETRACTED, **NONE),
            turn(6, start=600, end=700),
            turn(7, session_id=other.id, start=0, end=900, **NONE),
        ]
    )
    expected = [(1, None, 150), (3, 300, 400), (4, 400, 600)]
    for limit in (1, 2, 100):
        found = await owed(store, limit)
        assert [(one.stored.turn, one.free_from, one.free_to) for one in found] == [
            (stored[3 + number], low, high) for number, low, high in expected
        ]
    assert found[1].stored.speakers == (replace(ada, seq=stored[2].seq), replace(bob, seq=stored[3].seq))
    assert found[1].stored.session_name == "boardroom"


async def test_words_that_were_taken_out_are_not_owed(store: SqlStore) -> None:
    await store.write([session(), turn(1, start=0, end=1_000), turn(2, start=2_000, end=3_000, **NONE)])
    where: dict[str, Any] = {"start": Sample(700), "end": Sample(2_200)}
    await store.redact(interval(1, kind=IntervalKind.MUTED, reason=REDACTED, **where))
    assert [one.text_source for one in [stored.turn for stored in (await store.turns(SESSION, 9, None)).items]] == [
        TextSource.NONE,
        TextSource.NONE,
    ]
    assert await owed(store) == []


async def test_a_deleted_session_is_owed_nothing(store: SqlStore) -> None:
    await store.write([session(state=SessionState.STOPPED), turn(1, **NONE)])
    await store.delete_session(SESSION)
    assert await owed(store) == []


async def test_another_lists_token_is_refused(store: SqlStore) -> None:
    await store.write([session(), turn(1), turn(2)])
    token = (await store.turns(SESSION, 1, None)).next_token
    with pytest.raises(Invalid):
        await store.owed_turns(SESSION, 1, token)


async def test_what_is_as_it_was_read_is_revised(store: SqlStore) -> None:
    bob = speaker(2)
    read = (await store.write([session(), bob, turn(1, overlapping=(overlap(bob),), **NONE)]))[-1]
    assert isinstance(read, TurnRecord)
    said = replace(read, text="Yes.", text_source=TextSource.COMPLETED)
    (stored,) = await store.revise(said)
    assert stored == replace(said, revision=1, seq=stored.seq)
    assert stored.seq == read.seq + 1
    assert [one.turn for one in (await store.turns(SESSION, 9, None)).items] == [stored]
    delivered = await store.turns(SESSION, 9, None, as_delivered=True)
    assert [one.turn.text for one in delivered.items] == [""]


async def test_what_has_changed_since_it_was_read_is_left_alone(store: SqlStore) -> None:
    read_session, read = await store.write([session(state=SessionState.STOPPED), turn(1, **NONE)])
    (newer,) = await store.write([turn(1, text="Somebody corrected it.")])
    assert isinstance(read, TurnRecord)
    assert isinstance(newer, TurnRecord)
    assert isinstance(read_session, SessionRecord)
    assert await store.revise(replace(read, text="Yes.")) == ()
    assert [one.turn for one in (await store.turns(SESSION, 9, None)).items] == [newer]
    deletion = await store.delete_session(SESSION)
    assert await store.revise(newer) == ()
    assert await store.revise(read_session) == ()
    await store.erase()
    assert await store.revise(newer) == ()
    assert await store.revise(read_session) == ()
    assert await store.highest_seq() == deletion.seq
