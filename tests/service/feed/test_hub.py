"""The hub: every subscriber is given every change once, in order, over anything that can happen."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from minuted_daemon.core.events import SuspectReason
from minuted_daemon.core.records import Seq, StoredTurn, TurnLife
from minuted_daemon.errors import CursorAhead, Exhausted, NotFound, StoreError
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.feed.partials import RETRACTED
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import CaughtUp, Delivery, Heartbeat, PartialTurn, StoredChange
from tests.fakes_service.store import MemoryStore
from tests.rpc.material import interval, partial, session, speaker, turn

ALL = Seq(0)


def seqs(deliveries: list[Delivery]) -> list[int]:
    return [given.seq for given in deliveries if isinstance(given, StoredChange)]


async def take(stream, count: int) -> list[Delivery]:
    return [await anext(stream) for _ in range(count)]


async def test_replay_then_live() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    first = turn(room)
    await publisher.write([first], room.name)
    async with aclosing(hub.subscribe(None, ALL, False)) as stream:
        assert seqs(await take(stream, 2)) == [1, 2]
        assert await anext(stream) == CaughtUp(Seq(2))
        await publisher.write([replace(first, text="Let us begin."), interval(room)], room.name)
        given = await take(stream, 2)
        assert seqs(given) == [3, 4]
        assert given[0].item.turn.revision == 1
    async with aclosing(hub.subscribe(None, ALL, False)) as late:
        assert seqs(await take(late, 3)) == [1, 3, 4]  # the turn only once, as it is now
        assert await anext(late) == CaughtUp(Seq(4))


async def test_without_cursor_it_begins_now() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room, turn(room)], room.name)
    async with aclosing(hub.subscribe(None, None, False)) as stream:
        assert await anext(stream) == CaughtUp(Seq(2))
        await publisher.write([turn(room)], room.name)
        assert seqs([await anext(stream)]) == [3]


async def test_after_a_restart_the_first_subscriber_misses_nothing() -> None:
    store = MemoryStore()
    room = session()
    await store.write([room, turn(room)])
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    async with aclosing(hub.subscribe(None, Seq(1), False)) as stream:
        assert seqs([await anext(stream)]) == [2]
        assert await anext(stream) == CaughtUp(Seq(2))
        await publisher.write([turn(room)], room.name)
        assert seqs([await anext(stream)]) == [3]


async def test_who_wants_no_suspect_turns_is_told_without_them() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    invented, good = (turn(room, text=text) for text in ("Thank you for watching!", "Shall we begin?"))
    await publisher.write([room, replace(invented, suspect=SuspectReason.BOILERPLATE), good], room.name)
    marked = replace(good, suspect=SuspectReason.REPETITION)

    def told(given: Delivery) -> object:
        if not isinstance(given, StoredChange) or not isinstance(given.item, StoredTurn):
            return type(given)
        record = given.item.turn
        return (given.seq, record.id, record.life, record.text, record.suspect)

    async with (
        aclosing(hub.subscribe(room.id, Seq(1), False, exclude_suspect=True)) as finals,
        aclosing(hub.subscribe(room.id, Seq(1), True, exclude_suspect=True)) as growing,
        aclosing(hub.subscribe(room.id, Seq(1), False)) as everything,
    ):
        begun = (3, good.id, TurnLife.FINAL, good.text, None)
        assert [told(one) for one in await take(finals, 2)] == [begun, CaughtUp]
        withdrawn = (2, invented.id, TurnLife.RETRACTED, "", SuspectReason.BOILERPLATE)
        assert [told(one) for one in await take(growing, 3)] == [withdrawn, begun, CaughtUp], "a partial may be shown"
        marked_as_it_is = (2, invented.id, TurnLife.FINAL, invented.text, SuspectReason.BOILERPLATE)
        assert [told(one) for one in await take(everything, 3)] == [marked_as_it_is, begun, CaughtUp]
        await publisher.write([marked], room.name)
        later = (4, good.id, TurnLife.RETRACTED, "", SuspectReason.REPETITION)
        assert [told(await anext(stream)) for stream in (finals, growing)] == [later, later]
        assert told(await anext(everything)) == (4, good.id, TurnLife.FINAL, good.text, SuspectReason.REPETITION)
        await publisher.write([good], room.name)
        back = (5, good.id, TurnLife.FINAL, good.text, None)
        assert [told(await anext(stream)) for stream in (finals, growing, everything)] == [back] * 3
        new = replace(turn(room, text="Bye."), suspect=SuspectReason.NO_SPEECH)
        await publisher.write([new, interval(room)], room.name)
        assert seqs([await anext(finals)]) == [7], "what is left out does not hold up what follows"


async def test_filters() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    old, other = session("boardroom"), session("lab")
    ada = speaker(old)
    await publisher.write([old, ada, turn(old, ada), interval(old)], old.name)
    await publisher.write([other, turn(other)], other.name)
    async with (
        aclosing(hub.subscribe("boardroom", ALL, True)) as by_name,
        aclosing(hub.subscribe(old.id, ALL, True)) as by_id,
    ):
        for stream in (by_name, by_id):
            assert seqs(await take(stream, 4)) == [1, 2, 3, 4]
            assert await anext(stream) == CaughtUp(Seq(6))
        new = session("boardroom")
        hub.publish_partial(PartialTurn(partial(turn(other), other.name)))
        await publisher.write([turn(other)], other.name)
        await publisher.write([new], new.name)
        await publisher.write([turn(old)], old.name)
        assert seqs(await take(by_name, 2)) == [8, 9]
        assert seqs(await take(by_id, 1)) == [9]


async def test_unknown_session_and_foreign_cursor() -> None:
    store = MemoryStore()
    hub = Hub(store)
    with pytest.raises(NotFound):
        await anext(hub.subscribe("attic", None, False))
    with pytest.raises(CursorAhead) as caught:
        await anext(hub.subscribe(None, Seq(5), False))
    assert caught.value.reason == "CURSOR_AHEAD"
    assert caught.value.facts == {"after_seq": "5", "highest_seq": "0", "store_id": "01STORE"}


async def test_a_cursor_learnt_from_a_list_may_be_ahead_of_what_is_published() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    (unpublished,) = await store.write([turn(room)])
    async with aclosing(hub.subscribe(None, unpublished.seq, False)) as stream:
        assert await anext(stream) == CaughtUp(Seq(2))
        hub.publish([StoredChange(Seq(2), room.id, room.name, await store.stored_turn(unpublished))])
        await publisher.write([turn(room)], room.name)
        assert seqs([await anext(stream)]) == [3]


async def test_partials_are_told_until_the_final_and_never_behind_it() -> None:
    store = MemoryStore()
    hub = Hub(store, heartbeat_s=0.05)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    growing = turn(room)
    async with aclosing(hub.subscribe(None, None, True)) as stream:
        await anext(stream)
        for text in ("Shall", "Shall we"):
            hub.publish_partial(PartialTurn(partial(replace(growing, text=text), room.name)))
        given = await anext(stream)
        assert isinstance(given, PartialTurn)
        assert given.turn.turn.text == "Shall we"  # they coalesce
        hub.publish_partial(PartialTurn(partial(growing, room.name)))
        await publisher.write([growing], room.name)
        hub.publish_partial(PartialTurn(partial(growing, room.name)))
        assert seqs([await anext(stream)]) == [2]
        assert await anext(stream) == Heartbeat(Seq(2))


async def test_turns_that_are_gone_are_not_remembered_for_long() -> None:
    store = MemoryStore()
    hub = Hub(store)
    room = session()
    await ChangePublisher(store, hub).write([room], room.name)
    growing = turn(room)
    async with aclosing(hub.subscribe(None, None, True)) as stream, aclosing(hub.subscribe(None, None, True)) as slow:
        await anext(stream)
        await anext(slow)
        hub.publish_partial(PartialTurn(partial(growing, room.name)))
        assert isinstance(await anext(stream), PartialTurn)
        for _ in range(2 * RETRACTED):
            gone = replace(turn(room), life=TurnLife.RETRACTED)
            hub.publish_partial(PartialTurn(replace(partial(gone, room.name), turn=gone)))
            given = await anext(stream)
            assert isinstance(given, PartialTurn)
            assert given.turn.turn.life is TurnLife.RETRACTED
        with pytest.raises(Exhausted):
            await take(slow, 3)


async def test_the_journal_joins_speakers_without_reading() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    ada = speaker(room, "S1", "Ada")
    await publisher.write([room, ada], room.name)
    async with aclosing(hub.subscribe(None, None, True)) as stream:
        await anext(stream)
        await publisher.write([turn(room, ada)], room.name)
        publisher.tell_partial(turn(room, ada, life=TurnLife.PARTIAL), room.name)
        final, growing = await take(stream, 2)
        assert store.reads == 0
        assert [s.display_name for s in final.item.speakers] == ["Ada"]
        assert [s.display_name for s in growing.turn.speakers] == ["Ada"]
        # After a restart the cache is empty: the store is asked once.
        await ChangePublisher(store, hub).write([turn(room, ada)], room.name)
        assert [s.display_name for s in (await anext(stream)).item.speakers] == ["Ada"]
        assert store.reads == 1


async def test_a_failed_write_tells_nothing() -> None:
    store = MemoryStore()
    hub = Hub(store, overdue_s=0.01)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    async with aclosing(hub.subscribe(None, None, False)) as stream:
        await anext(stream)
        store.break_with()
        with pytest.raises(StoreError):
            await publisher.write([turn(room)], room.name)
        store.fault = None
        await publisher.write([turn(room)], room.name)
        assert seqs([await anext(stream)]) == [2]


async def test_heartbeat_names_what_was_examined() -> None:
    store = MemoryStore()
    hub = Hub(store, heartbeat_s=0.05)
    publisher = ChangePublisher(store, hub)
    room, other = session("boardroom"), session("lab")
    await publisher.write([room, other], room.name)
    async with aclosing(hub.subscribe(room.id, None, False)) as stream:
        assert await anext(stream) == CaughtUp(Seq(2))
        await publisher.write([turn(other)], other.name)
        assert await anext(stream) == Heartbeat(Seq(3))
        assert await anext(stream) == Heartbeat(Seq(3))


async def test_a_commit_whose_writer_was_cancelled_is_told_all_the_same() -> None:
    store = MemoryStore(patience=20, seed=1)
    hub = Hub(store, overdue_s=0.02)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    async with aclosing(hub.subscribe(None, None, True)) as stream:
        await anext(stream)
        told = turn(room)
        hub.publish_partial(PartialTurn(partial(told, room.name)))
        assert isinstance(await anext(stream), PartialTurn)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(publisher.write([told], room.name))
            await store.committed(2)
            assert not writing.done()
            writing.cancel()
        assert seqs([await anext(stream)]) == [2]
        await publisher.write([turn(room)], room.name)
        assert seqs([await anext(stream)]) == [3]


async def test_a_seq_that_was_never_used_holds_nobody_up_for_long() -> None:
    store = MemoryStore()
    hub = Hub(store, overdue_s=0.02)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    async with aclosing(hub.subscribe(None, None, False)) as stream:
        await anext(stream)
        store.burn(Seq(5))
        await publisher.write([turn(room)], room.name)
        assert seqs([await anext(stream)]) == [6]


async def test_a_write_past_the_journal_is_found_at_the_next_heartbeat() -> None:
    store = MemoryStore()
    hub = Hub(store, heartbeat_s=0.05, overdue_s=0.02)
    room = session()
    async with aclosing(hub.subscribe(None, None, False)) as stream:
        await anext(stream)
        await store.write([room])
        given = await anext(stream)
        while isinstance(given, Heartbeat):
            given = await anext(stream)
        assert seqs([given]) == [1]


async def test_slow_subscriber_is_cut_off_and_resumes() -> None:
    store = MemoryStore()
    hub = Hub(store, capacity=8)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    stream = hub.subscribe(None, ALL, False)
    got = seqs(await take(stream, 2))
    for _ in range(9):
        await publisher.write([turn(room)], room.name)
    with pytest.raises(Exhausted) as caught:
        got += seqs([given async for given in stream])
    assert caught.value.reason == "SUBSCRIBER_TOO_SLOW"
    async with aclosing(hub.subscribe(None, Seq(got[-1]), False)) as again:
        while not isinstance(given := await anext(again), CaughtUp):
            got += seqs([given])
    assert got == list(range(1, 11))


async def test_a_subscriber_busy_with_its_replay_is_not_cut_off() -> None:
    store = MemoryStore()
    hub = Hub(store, capacity=8)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    async with aclosing(hub.subscribe(None, ALL, False)) as stream:
        got = seqs([await anext(stream)])
        for _ in range(30):
            await publisher.write([turn(room)], room.name)
        while not isinstance(given := await anext(stream), CaughtUp):
            got += seqs([given])
    assert got == list(range(1, 32))


async def test_who_comes_after_a_hole_that_nobody_waited_for_misses_nothing() -> None:
    store = MemoryStore()
    hub = Hub(store, capacity=8)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    store.burn(Seq(5))  # a hole that nobody waits for
    for _ in range(50):
        await publisher.write([turn(room)], room.name)
    async with aclosing(hub.subscribe(None, ALL, False)) as stream:
        assert seqs(await take(stream, 51)) == [1, *range(6, 56)]


async def test_closing_gives_what_was_published_and_ends() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    await publisher.write([room], room.name)
    stream = hub.subscribe(None, ALL, False)
    await take(stream, 2)
    await publisher.write([turn(room), turn(room)], room.name)
    hub.close()
    assert seqs([given async for given in stream]) == [2, 3]


async def test_touches() -> None:
    store = MemoryStore()
    hub = Hub(store)
    publisher = ChangePublisher(store, hub)
    room = session()
    touches = hub.touches(10)
    assert await anext(touches) == frozenset()
    hub.touch(room.id)
    assert await anext(touches) == {room.id}
    other = session("lab")
    await publisher.write([other], other.name)
    assert await anext(touches) == {other.id}
    hub.close()
    assert [touched async for touched in touches] == []
