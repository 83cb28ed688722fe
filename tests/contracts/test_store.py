"""What every Store promises: the one on disk, and the one in memory that tests of the service use."""

from dataclasses import replace

import pytest

from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind, Seq, SessionState, StoredTurn, TurnLife, TurnRecord, WallPoint
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import Invalid, NotFound, WrongState
from minuted_daemon.ports.store import REDACTED, ErasureRequest, Interruption, Store
from tests.adapters.storage.examples import SESSION, interval, overlap, session, speaker, turn


async def told(store: Store, after: int = 0) -> list[tuple[int, object]]:
    changes = await store.changes(Seq(after), await store.highest_seq(), None, 1000)
    return [(one.turn.seq, one.turn) if isinstance(one, StoredTurn) else (one.seq, one) for one in changes]


async def test_each_record_gets_the_next_seq_and_is_read_as_it_was_given_back(store: Store) -> None:
    ada, ben = speaker(1), speaker(2)
    written = await store.write([session(), ada, ben, turn(1, ada, overlapping=(overlap(ben),)), interval(1)])
    assert [one.seq for one in written] == [1, 2, 3, 4, 5]
    assert await told(store) == [(one.seq, one) for one in written]
    assert await store.session("boardroom") == written[0]
    (stored,) = (await store.turns(SESSION, 10, None)).items
    assert stored == StoredTurn(written[3], "boardroom", (written[1], written[2]))  # type: ignore[arg-type]


async def test_what_is_written_again_is_told_once_at_its_latest_seq(store: Store) -> None:
    await store.write([session(), turn(1)])
    (again,) = await store.write([replace(turn(1), text="Other words.")])
    assert isinstance(again, TurnRecord)
    assert (again.seq, again.revision) == (3, 1)
    assert [seq for seq, _ in await told(store)] == [1, 3]
    then = await store.turns(SESSION, 10, None, as_delivered=True)
    assert [one.turn.revision for one in then.items] == [0]


async def test_a_revision_of_what_changed_since_it_was_read_is_not_stored(store: Store) -> None:
    _, first = await store.write([session(), turn(1)])
    assert isinstance(first, TurnRecord)
    assert len(await store.revise(replace(first, text="Corrected."))) == 1
    assert list(await store.revise(replace(first, text="Too late."))) == []
    assert [one.turn.text for one in (await store.turns(SESSION, 10, None)).items] == ["Corrected."]


async def test_pages_go_on_where_the_one_before_ended(store: Store) -> None:
    await store.write([session(), *(turn(number) for number in range(5))])
    found, token = [], None
    while True:
        page = await store.turns(SESSION, 2, token)
        found += [one.turn.start for one in page.items]
        if (token := page.next_token) is None:
            break
    assert found == [number * 16_000 for number in range(5)]
    with pytest.raises(Invalid) as caught:
        await store.turns(SESSION, 2, "no token")
    assert caught.value.reason == "BAD_PAGE_TOKEN"


async def test_turns_that_are_owed_their_text_come_with_their_neighbours_edges(store: Store) -> None:
    owed = turn(2, text="", text_source=TextSource.NONE)
    await store.write([session(), turn(1), owed, turn(3), turn(4, life=TurnLife.RETRACTED, text="")])
    (found,) = (await store.owed_turns(SESSION, 10, None)).items
    assert (found.stored.turn.id, found.free_from, found.free_to) == (owed.id, turn(1).end, turn(3).start)


async def test_claims_are_made_by_final_turns_and_intervals(store: Store) -> None:
    await store.write([session(), turn(1), turn(2, life=TurnLife.RETRACTED, text=""), interval(3)])
    assert [claim.start for claim in (await store.claims(SESSION, 10, None)).items] == [16_000, 48_000]
    with pytest.raises(NotFound):
        await store.claims(speaker(1, "01J0000000000000000000000X").session_id, 10, None)


async def test_a_session_goes_on_from_what_is_stored_of_it(store: Store) -> None:
    await store.write([session(), speaker(2), speaker(1), turn(1), interval(9)])
    await store.write_wall_points(SESSION, [WallPoint(Sample(0), 10.0), WallPoint(Sample(16_000), 11.0)])
    point = await store.resume_point(SESSION)
    assert (point.end, point.turns_end, point.generation) == (interval(9).end, turn(1).end, 1)
    assert [one.label for one in point.speakers] == ["S1", "S2"]
    assert [one.wall_s for one in await store.wall_points(SESSION)] == [10.0, 11.0]
    with pytest.raises(NotFound):
        await store.wall_points(session("01J0000000000000000000000X").id)


async def test_an_interruption_stays_until_it_is_taken_away(store: Store) -> None:
    mark = Interruption(5.0, paused=True)
    await store.write([session()], {SESSION: mark})
    (stopped,) = await store.write([replace(session(), state=SessionState.STOPPED)])
    assert list(await store.interrupted()) == [(stopped, mark)]
    await store.write((), {SESSION: None})
    assert list(await store.interrupted()) == []
    assert await store.highest_seq() == 2, "a mark is no change"


async def test_what_is_redacted_is_gone_and_stays_so(store: Store) -> None:
    await store.write([session(), turn(1), turn(2)])
    muted = interval(1, kind=IntervalKind.MUTED, reason=REDACTED, end=Sample(29_000))
    assert len(await store.redact(muted)) == 2
    assert list(await store.redact(muted)) == [], "there is nothing left to redact"
    (kept,) = (await store.turns(SESSION, 10, None)).items
    assert kept.turn.id == turn(2).id
    (late,) = await store.write([turn(1)])
    assert isinstance(late, TurnRecord)
    assert (late.text, late.life) == ("", TurnLife.RETRACTED)
    (request,) = await store.erasures()
    assert request == ErasureRequest(SESSION, "boardroom", replace(muted, seq=Seq(0)))
    await store.erase()
    await store.erased(request)
    assert list(await store.erasures()) == []


async def test_only_an_ended_session_is_deleted_and_then_only_that_is_told(store: Store) -> None:
    await store.write([session(), turn(1)])
    with pytest.raises(WrongState) as caught:
        await store.delete_session(SESSION)
    assert caught.value.reason == "SESSION_LIVE"
    await store.write([replace(session(), state=SessionState.STOPPED)])
    gone = await store.delete_session(SESSION)
    assert (gone.state, gone.seq) == (SessionState.DELETED, 4)
    assert await told(store) == [(4, gone)]
    await store.erase()
    assert await told(store) == [(4, gone)]
    assert [request.session_id for request in await store.erasures()] == [SESSION]
    with pytest.raises(NotFound):
        await store.session(SESSION)
