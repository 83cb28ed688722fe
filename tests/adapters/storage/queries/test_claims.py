"""What the store claims of a session's audio: over a real database, page by page."""

from dataclasses import replace
from typing import Any

import pytest

from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.coverage import NO_TEXT, Claim, Ground, Ledger
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind, SessionState, TurnLife
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import Invalid, NotFound
from minuted_daemon.ports.store import REDACTED
from tests.adapters.storage.examples import SESSION, interval, session, turn


async def claims(store: SqlStore, limit: int = 100) -> list[Claim]:
    found: list[Claim] = []
    token = None
    while True:
        page = await store.claims(SESSION, limit, token)
        assert len(page.items) <= limit
        found += page.items
        token = page.next_token
        if token is None:
            return found


def claim(start: int, end: int, ground: Ground, reason: str = "") -> Claim:
    return Claim(Sample(start), Sample(end), ground, reason)


async def test_turns_and_intervals_claim_what_they_cover(store: SqlStore) -> None:
    other = session("01J00000000000000000000002", "lab")
    await store.write([session(), other])
    await store.write(
        [
            turn(1, start=100, end=200),
            turn(2, start=200, end=300, text="", text_source=TextSource.NONE),
            turn(3, start=250, end=400, text_source=TextSource.PROVISIONAL),
            turn(4, start=500, end=600),
            turn(5, session_id=other.id, start=0, end=900),
            interval(1, start=0, end=100, kind=IntervalKind.MUTED, reason="PAUSED"),
            interval(2, start=150, end=160, reason="DEVICE_GAP"),
            interval(3, start=450, end=460, kind=IntervalKind.LOST, reason="SPOOL_FULL"),
        ]
    )
    await store.write([turn(4, start=500, end=600, life=TurnLife.RETRACTED), turn(1, start=110, end=210)])
    assert await claims(store) == [
        claim(0, 100, Ground.MUTED, "PAUSED"),
        claim(110, 210, Ground.TEXT),
        claim(150, 160, Ground.UNCLAIMED, "DEVICE_GAP"),
        claim(200, 300, Ground.WORDLESS, NO_TEXT),
        claim(250, 400, Ground.TEXT, NO_TEXT),
        claim(450, 460, Ground.LOST, "SPOOL_FULL"),
    ]


async def test_without_a_transcriber_every_turn_is_text(store: SqlStore) -> None:
    room = session()
    await store.write([replace(room, settings=replace(room.settings, transcriber="none"))])
    await store.write([turn(1, start=0, end=9, text="", text_source=TextSource.NONE)])
    assert await claims(store) == [claim(0, 9, Ground.TEXT)]


@pytest.mark.parametrize("limit", [1, 2, 7, 40])
async def test_pages_hold_each_claim_once_in_order(store: SqlStore, limit: int) -> None:
    await store.write([session()])
    # Many begin at the same sample, and on both sides of a page's end.
    await store.write([turn(number, start=number // 4, end=number // 4 + 3) for number in range(20)])
    await store.write([interval(number, start=number // 3, end=number // 3 + 2) for number in range(20)])
    found = await claims(store, limit)
    assert len(found) == 40
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert sum(one.ground is Ground.TEXT for one in found) == 20


async def test_what_a_redaction_leaves_of_a_turn_says_so(store: SqlStore) -> None:
    await store.write([session(state=SessionState.RUNNING)])
    await store.write([turn(1, start=0, end=1_000), turn(2, start=3_000, end=4_000, text_source=TextSource.NONE)])
    gone = interval(1, start=900, end=2_000, kind=IntervalKind.MUTED, reason=REDACTED)
    while await store.redact(gone):
        pass
    # It touches what was taken out, and nobody can say whether its words would come from there.
    await store.write([turn(3, start=2_000, end=2_500, text_source=TextSource.PROVISIONAL)])
    found = await claims(store)
    assert found == [
        claim(0, 900, Ground.WORDLESS, REDACTED),
        claim(900, 2_000, Ground.MUTED, REDACTED),
        claim(2_000, 2_500, Ground.TEXT, REDACTED),
        claim(3_000, 4_000, Ground.WORDLESS, NO_TEXT),
    ]
    ledger = Ledger(Sample(5_000))
    ledger.enter(found)
    told = ledger.close()
    assert (told.muted, told.lost, told.text, told.silence) == (1_100, {NO_TEXT: 1_000, REDACTED: 900}, 500, 1_500)


@pytest.mark.parametrize("ask", [{"session_id": "01NOBODY"}, {"token": "bm90IG9uZQ"}], ids=["no session", "bad token"])
async def test_refusals(store: SqlStore, ask: dict[str, Any]) -> None:
    await store.write([session()])
    with pytest.raises(NotFound if "session_id" in ask else Invalid):
        await store.claims(**{"session_id": SESSION, "limit": 5, "token": None, **ask})


async def test_a_token_is_good_for_its_own_list_only(store: SqlStore) -> None:
    await store.write([session()])
    await store.write([turn(number) for number in range(3)])
    for_claims = (await store.claims(SESSION, 1, None)).next_token
    for_turns = (await store.turns(SESSION, 1, None)).next_token
    with pytest.raises(Invalid):
        await store.turns(SESSION, 1, for_claims)
    with pytest.raises(Invalid):
        await store.claims(SESSION, 1, for_turns)


async def test_a_deleted_session_claims_nothing(store: SqlStore) -> None:
    await store.write([session(state=SessionState.STOPPED)])
    await store.write([turn(1)])
    await store.delete_session(SESSION)
    with pytest.raises(NotFound):
        await store.claims(SESSION, 5, None)
