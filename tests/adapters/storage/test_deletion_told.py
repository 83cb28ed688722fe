"""How subscribers learn of deletions and redactions: the hub on a real store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.records import IntervalKind, Seq, SessionId, SessionState
from minuted_daemon.ports.store import REDACTED
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import CaughtUp, StoredChange
from tests.adapters.storage.examples import SESSION, interval, session, speaker, turn

OTHER = SessionId("01J00000000000000000000002")


async def taken(stream: AsyncIterator[Any], count: int) -> list[Any]:
    return [await anext(stream) for _ in range(count)]


def seqs(deliveries: Sequence[Any]) -> list[int]:
    return [given.seq for given in deliveries if isinstance(given, StoredChange)]


async def test_a_cursor_into_what_was_deleted_goes_on_with_what_is_left(store: SqlStore) -> None:
    hub = Hub(store)
    journal = ChangePublisher(store, hub)
    await journal.write([session(state=SessionState.STOPPED), turn(1), turn(2)], "boardroom")
    await journal.write([session(OTHER, "studio"), turn(1, session_id=OTHER)], "studio")
    async with aclosing(hub.subscribe(None, Seq(1), partials=False)) as live:
        assert seqs(await taken(live, 4)) == [2, 3, 4, 5]
        assert await anext(live) == CaughtUp(Seq(5))
        await journal.delete(SESSION, "boardroom")
        told: Any = await anext(live)
        assert (told.seq, told.session_id, told.session_name) == (6, SESSION, "boardroom")
        assert told.item.state is SessionState.DELETED
        await store.erase()
        await journal.write([turn(2, session_id=OTHER)], "studio")
        assert seqs(await taken(live, 1)) == [7]
    for cursor, expected in ((0, [4, 5, 6, 7]), (2, [4, 5, 6, 7]), (5, [6, 7]), (6, [7])):
        async with aclosing(hub.subscribe(None, Seq(cursor), partials=False)) as late:
            assert seqs(await taken(late, len(expected))) == expected
            assert await anext(late) == CaughtUp(Seq(7))


async def test_a_session_deleted_in_the_middle_of_a_replay_does_not_end_it(store: SqlStore) -> None:
    hub = Hub(store)
    journal = ChangePublisher(store, hub)
    await journal.write([session(state=SessionState.STOPPED), speaker(1), interval(1)], "boardroom")
    await journal.write([session(OTHER, "studio"), speaker(1, OTHER)], "studio")
    read = store.changes

    async def then_deleted(*asked: Any) -> Any:
        found = await read(*asked)
        store.changes = read  # type: ignore[method-assign]
        await store.delete_session(SESSION)
        await store.erase()
        return [item for item in found if getattr(item, "id", "") != SESSION]

    store.changes = then_deleted  # type: ignore[assignment, method-assign]
    async with aclosing(hub.subscribe(None, Seq(0), partials=False)) as stream:
        assert seqs(await taken(stream, 2)) == [4, 5]
        assert await anext(stream) == CaughtUp(Seq(5))


async def test_redacted_turns_are_told_as_they_are_now(store: SqlStore) -> None:
    hub = Hub(store)
    journal = ChangePublisher(store, hub)
    await journal.write([session(), *(turn(number, text=f"SECRET {number}") for number in range(3))], "boardroom")
    gone = interval(9, kind=IntervalKind.MUTED, reason=REDACTED, start=turn(1).start, end=turn(1).end)
    async with aclosing(hub.subscribe(None, Seq(4), partials=False)) as live:
        assert await anext(live) == CaughtUp(Seq(4))
        while await journal.redact(gone, "boardroom"):
            pass
        first, second = await taken(live, 2)
        assert first.item == replace(gone, seq=Seq(5))
        assert (second.item.turn.id, second.item.turn.text, second.seq) == (turn(1).id, "", 6)
    async with aclosing(hub.subscribe(None, Seq(0), partials=False)) as late:
        assert seqs(await taken(late, 5)) == [1, 2, 4, 5, 6]
