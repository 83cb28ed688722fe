"""A diarizer's connection is renewed before its limit, in virtual time over a fake diarizer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from minuted_daemon.core.events import Epoch, EpochClosed, EpochOpened
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.errors import MinutedError, Rejected, Unavailable
from tests.fakes_service.diarizer import FakeDiarizer, FakeDiarizerStream
from tests.fakes_service.virtual_time import virtual_time
from tests.support.diarizer_meeting import LIFETIME_S, Meeting

DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
MARGIN_S = 20.0
RELIEF_S = 5.0
"""What follows from the lifetime."""


@asynccontextmanager
async def meeting(
    engine: FakeDiarizer, lifetime_s: float | None = LIFETIME_S
) -> AsyncIterator[tuple[Meeting, "asyncio.Task[None]"]]:
    held = Meeting(engine, lifetime_s)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(held.link.run())
        await asyncio.sleep(0)
        yield held, task
        task.cancel()
        await asyncio.wait({task})
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing is left running"
    assert all(stream.closed for stream in engine.streams)


def assert_real_time(stream: FakeDiarizerStream) -> None:
    for index, at_s in enumerate(stream.sent_at_s):
        assert at_s - stream.sent_at_s[0] >= 0.1 * index - 0.101


@virtual_time
async def test_a_successor_stands_by_and_relieves_the_old_one_before_its_limit() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(LIFETIME_S - MARGIN_S - 0.5)
        assert len(engine.streams) == 1
        await held.speak_until(LIFETIME_S - MARGIN_S + 0.5)
        assert len(engine.streams) == 2
        await held.speak_until(LIFETIME_S + 5)
        old, new = engine.streams
        (taken,) = held.took_over()
        opened = [change for change in held.sink.changes if isinstance(change, EpochOpened)]
        assert [change.epoch for change in opened] == [1, 2]
        assert abs(opened[1].base - samples(LIFETIME_S - MARGIN_S)) <= samples(0.2)
        assert taken.epoch == 2
        assert abs(taken.at - samples(LIFETIME_S - RELIEF_S)) <= samples(0.2)
        assert held.closed() == [EpochClosed(Epoch(1), taken.at)], "the old one heard all up to the change-over"
        assert old.finished
        assert old.closed
        assert old.sent == taken.at
        assert not new.finished
        assert opened[1].base + new.sent == held.blocks * BLOCK, "the new one missed nothing"
        assert held.healths == [Health.CONNECTING, Health.UP]
        for stream in engine.streams:
            assert_real_time(stream)


@virtual_time
async def test_connections_are_renewed_again_and_again() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(5 * LIFETIME_S)
        assert [taken.epoch for taken in held.took_over()] == list(range(2, len(held.took_over()) + 2))
        assert len(held.took_over()) >= 5
        for stream in engine.streams:
            assert stream.sent <= samples(LIFETIME_S - RELIEF_S + 0.5)
            assert_real_time(stream)
        alive = [stream for stream in engine.streams if not stream.closed]
        assert len(alive) <= 2


@virtual_time
async def test_without_a_limit_there_is_one_connection() -> None:
    engine = FakeDiarizer()
    async with meeting(engine, lifetime_s=None) as (held, _):
        await held.speak_until(3 * LIFETIME_S)
        assert len(engine.streams) == 1


@virtual_time
async def test_what_the_old_one_says_when_it_is_finished_is_told() -> None:
    engine = FakeDiarizer([("A", 10.0, LIFETIME_S - RELIEF_S - 0.1)], lag_s=1.0)
    async with meeting(engine) as (held, _):
        await held.speak_until(LIFETIME_S)
        (taken,) = held.took_over()
        ends = [(epoch, event.at) for epoch, event in held.sink.told if hasattr(event, "at") and epoch == 1]
        assert ends[-1][1] < taken.at
        closed = held.sink.changes.index(held.closed()[0])
        assert closed > held.sink.changes.index(taken)


@virtual_time
async def test_an_old_one_that_never_finishes_is_dropped() -> None:
    engine = FakeDiarizer()
    engine.never_finishes = True
    async with meeting(engine) as (held, _):
        await held.speak_until(LIFETIME_S + 10)
        old, new = engine.streams
        assert old.closed
        assert not new.closed
        assert len(held.closed()) == 1


@virtual_time
async def test_a_renewal_that_fails_is_tried_again_until_the_limit() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(1)
        engine.refusals = [DOWN] * 3
        await held.speak_until(LIFETIME_S)
        assert len(engine.attempts_s) == 5
        assert len(held.took_over()) == 1
        assert Health.DOWN not in held.healths, "the old connection goes on"


@virtual_time
async def test_when_no_renewal_succeeds_the_ordinary_reconnect_follows_the_limit() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(1)
        engine.refusals = [DOWN] * 16
        await held.speak_until(LIFETIME_S)
        engine.streams[0].break_now(DOWN)
        await held.speak_until(LIFETIME_S + 120)
        assert held.took_over()[:1] == []
        assert held.healths[2:4] == [Health.DOWN, Health.UP] or held.healths[2] == Health.DOWN
        assert held.healths[-1] == Health.UP
        assert len(held.closed()) == 1


@virtual_time
async def test_a_vendor_that_refuses_for_good_is_not_asked_again_before_the_limit() -> None:
    engine = FakeDiarizer()
    refused: MinutedError = Rejected("PAYMENT_REQUIRED", "no money")
    async with meeting(engine) as (held, task):
        await held.speak_until(1)
        engine.refusals = [refused] * 2
        await held.speak_until(LIFETIME_S - 1)
        assert len(engine.attempts_s) == 2
        assert held.healths == [Health.CONNECTING, Health.UP]
        engine.streams[0].break_now(DOWN)
        await held.speak_until(LIFETIME_S + 5)
        assert held.healths[-1] == Health.REFUSED
        await held.speak_until(LIFETIME_S + 605)
        assert held.healths[-1] == Health.UP
        assert not task.done()


@virtual_time
async def test_the_successor_goes_on_at_once_where_the_old_one_breaks() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(LIFETIME_S - MARGIN_S + 3)
        engine.streams[0].break_now(DOWN)
        broken_at = held.blocks * BLOCK
        await held.speak_until(LIFETIME_S - MARGIN_S + 10)
        assert held.closed() == [EpochClosed(Epoch(1), Sample(broken_at))]
        assert held.took_over() == [], "that follows from the break"
        assert held.healths == [Health.CONNECTING, Health.UP]
        assert len(engine.streams) == 2
        assert held.link.connected
        new = engine.streams[1]
        assert not new.closed
        assert new.sent == held.blocks * BLOCK - held.sink.changes[1].base  # type: ignore[union-attr]
        await held.speak_until(2 * LIFETIME_S)
        assert len(held.took_over()) == 1, "the successor is renewed in its turn"


@virtual_time
async def test_a_successor_that_breaks_is_replaced() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(LIFETIME_S - MARGIN_S + 3)
        engine.streams[1].break_now(DOWN)
        await held.speak_until(LIFETIME_S + 5)
        (taken,) = held.took_over()
        assert taken.epoch == 3
        assert [change.epoch for change in held.closed()] == [2, 1]
        assert held.healths == [Health.CONNECTING, Health.UP]


@virtual_time
async def test_when_both_break_the_ordinary_reconnect_follows() -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(LIFETIME_S - MARGIN_S + 3)
        for stream in list(engine.streams):
            stream.break_now(DOWN)
        await held.speak_until(LIFETIME_S)
        assert sorted(change.epoch for change in held.closed()) == [1, 2]
        assert held.took_over() == []
        assert held.healths[-2:] == [Health.DOWN, Health.UP]
        assert held.link.connected


@virtual_time
async def test_finish_while_a_successor_stands_by() -> None:
    engine = FakeDiarizer([("A", 1.0, LIFETIME_S - MARGIN_S + 2.9)], lag_s=0.5)
    async with meeting(engine) as (held, task):
        await held.speak_until(LIFETIME_S - MARGIN_S + 3)
        held.link.finish()
        await asyncio.wait({task}, timeout=5.0)
        assert task.done()
        old, new = engine.streams
        assert old.finished
        assert new.closed
        assert not new.finished, "nobody waits for what it would say"
        assert [epoch for epoch, _ in held.sink.told if epoch == 1] == [1, 1]


@virtual_time
async def test_finish_right_behind_the_change_over() -> None:
    engine = FakeDiarizer([("A", 70.0, LIFETIME_S - RELIEF_S + 0.3)], lag_s=0.5)
    async with meeting(engine) as (held, task):
        while not held.took_over():
            await held.speak_until(held.blocks / 10 + 0.1)
        await held.speak_until(held.blocks / 10 + 0.4)
        held.link.finish()
        await asyncio.wait({task}, timeout=5.0)
        assert task.done()
        assert all(stream.finished for stream in engine.streams)
        ended = {epoch for epoch, event in held.sink.told if type(event).__name__ == "SpeakerEnded"}
        assert 2 in ended


@virtual_time
async def test_a_lifetime_of_seconds() -> None:
    engine = FakeDiarizer()
    async with meeting(engine, lifetime_s=4.0) as (held, _):
        await held.speak_until(30)
        assert 6 <= len(held.took_over()) <= 11
        assert all(stream.sent <= samples(4.2) for stream in engine.streams)


@virtual_time
async def test_a_hanging_renewal_leaves_the_old_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeDiarizer()
    async with meeting(engine) as (held, _):
        await held.speak_until(1)

        async def hang() -> FakeDiarizerStream:
            await asyncio.Event().wait()
            raise AssertionError

        monkeypatch.setattr(engine, "open", hang)
        await held.speak_until(LIFETIME_S - 1)
        assert held.link.connected
        assert engine.streams[0].sent == held.blocks * BLOCK
        assert held.closed() == []


@virtual_time
async def test_a_break_while_the_session_ends_leaves_the_end_to_the_one_that_stands_by() -> None:
    engine = FakeDiarizer()
    engine.never_finishes = True
    async with meeting(engine) as (held, task):
        await held.speak_until(LIFETIME_S - MARGIN_S + 3)
        held.link.finish()
        await asyncio.sleep(0.2)
        engine.never_finishes = False
        engine.streams[0].break_now(DOWN)
        await asyncio.wait({task}, timeout=2.0)
        assert task.done()
        assert engine.streams[1].finished
        assert held.healths == [Health.CONNECTING, Health.UP]
