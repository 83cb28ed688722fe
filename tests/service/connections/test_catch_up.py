"""What makes up for an outage goes beside the present: a connection of its own, made when needed. In virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    TextCompleted,
    TranscriberLost,
    TranscriberReady,
    TranscriberRefused,
    UtteranceId,
)
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.errors import Rejected, StoreError, Unavailable
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_link import CATCH_UP_IDLE_S, TranscriberLink
from minuted_daemon.service.retries.gate import Retries
from tests.fakes_service.capture import block
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import virtual_time

DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
NOW, PAST, LATER = UtteranceId(1), UtteranceId(2), UtteranceId(3)
BESIDE = TranscriberReady(makes_up=True)


class Room:
    """A link and what it told. Like the merger, it asks again for what is to be made up for when it can be sent."""

    def __init__(self, engine: FakeTranscriber) -> None:
        self.engine = engine
        self.events: list[object] = []
        self.healths: list[Link] = []
        self.spool = FakeSpool()
        for n in range(600):
            self.spool.append(block(True, n))
        self.link = TranscriberLink(
            TranscriberOpener(engine, (), self.spool),
            Retries(lambda: 0.5),
            self,
            self.healths.append,
            structlog.get_logger(),
        )
        self.past: dict[UtteranceId, float] = {}

    def transcribed(self, event: object) -> None:
        self.events.append(event)
        if event == BESIDE:
            for utterance, seconds in self.past.items():
                self.say(utterance, seconds, makes_up=True)
        if isinstance(event, TextCompleted):
            self.past.pop(event.utterance, None)

    def say(self, utterance: UtteranceId, seconds: float = 1.0, *, makes_up: bool = False) -> None:
        self.link.submit(Append(utterance, Sample(0), Sample(samples(seconds)), makes_up))
        self.link.submit(Commit(utterance, pad=0))

    def make_up(self, utterance: UtteranceId, seconds: float = 1.0) -> None:
        self.past[utterance] = seconds
        self.say(utterance, seconds, makes_up=True)

    @property
    def answered(self) -> list[UtteranceId]:
        return [event.utterance for event in self.events if isinstance(event, TextCompleted)]

    @property
    def told(self) -> list[object]:
        kinds = TranscriberReady | TranscriberLost | TranscriberRefused
        return [event for event in self.events if isinstance(event, kinds)]


@asynccontextmanager
async def room(engine: FakeTranscriber) -> AsyncIterator[Room]:
    engine.partials = False
    made = Room(engine)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.link.run())
        await asyncio.sleep(0.01)
        yield made
        task.cancel()


@virtual_time
async def test_the_past_has_a_connection_of_its_own_while_it_is_needed() -> None:
    engine = FakeTranscriber()
    async with room(engine) as made:
        await asyncio.sleep(60.0)
        assert len(engine.streams) == 1, "nobody needs another one"
        made.make_up(PAST)
        made.say(NOW)
        await asyncio.sleep(3.0)
        assert [stream.committed for stream in engine.streams] == [[NOW], [PAST]]
        assert made.told == [TranscriberReady(), TranscriberLost(makes_up=True), BESIDE]
        await asyncio.sleep(CATCH_UP_IDLE_S - 4.0)
        assert not engine.streams[1].closed
        await asyncio.sleep(6.0)
        assert (engine.streams[0].closed, engine.streams[1].closed) == (False, True)
        made.make_up(LATER)
        await asyncio.sleep(3.0)
        assert engine.streams[2].committed == [LATER]
    assert sorted(made.answered) == [NOW, PAST, LATER]
    assert made.healths == [Link(Health.CONNECTING), Link(Health.UP)], "it is the first one's health that is told"


@virtual_time
async def test_where_it_cannot_be_made_it_is_tried_again_and_the_present_goes_on() -> None:
    engine = FakeTranscriber()
    async with room(engine) as made:
        engine.refusals = [DOWN] * 5
        made.make_up(PAST)
        for n in range(100, 120):
            made.say(UtteranceId(n))
            await asyncio.sleep(1.0)
        assert made.answered[:12] == [UtteranceId(n) for n in range(100, 112)]
        assert engine.streams[1].committed == [PAST]
        assert [told.health for told in made.healths] == [Health.CONNECTING, Health.UP]
    assert PAST in made.answered
    assert len(engine.attempts_s) == 7


@virtual_time
async def test_where_it_breaks_only_the_past_is_asked_for_again() -> None:
    engine = FakeTranscriber()
    engine.answer_after_s = 3.0
    async with room(engine) as made:
        made.make_up(PAST)
        await asyncio.sleep(1.0)
        made.say(NOW)
        engine.streams[1].break_now(DOWN)
        await asyncio.sleep(8.0)
    assert made.told == [TranscriberReady(), TranscriberLost(True), BESIDE, TranscriberLost(True), BESIDE]
    assert made.answered == [NOW, PAST]
    assert not engine.streams[0].broken


@virtual_time
async def test_where_the_first_breaks_the_past_goes_on() -> None:
    engine = FakeTranscriber()
    async with room(engine) as made:
        made.make_up(PAST)
        await asyncio.sleep(0.1)
        engine.refusals = [DOWN] * 3
        engine.streams[0].break_now(DOWN)
        await asyncio.sleep(1.5)
        assert made.answered == [PAST]
        assert made.told == [TranscriberReady(), TranscriberLost(True), BESIDE, TranscriberLost()]


@virtual_time
async def test_where_only_it_is_refused_the_merger_is_told_and_the_first_stays() -> None:
    engine = FakeTranscriber()
    async with room(engine) as made:
        engine.refusals = [Rejected("TOO_MANY_CONNECTIONS", "one is enough")]
        made.make_up(PAST)
        await asyncio.sleep(1.0)
        assert made.told[-1] == TranscriberRefused(makes_up=True)
        made.say(NOW)
        await asyncio.sleep(60.0)
    assert made.answered == [NOW]
    assert len(engine.attempts_s) == 2


@virtual_time
async def test_it_is_renewed_like_the_first_and_its_pace_is_bounded() -> None:
    engine = FakeTranscriber()
    engine.lifetime_s = 20.0
    async with room(engine) as made:
        began_s = asyncio.get_running_loop().time()
        for n in range(2, 8):  # at the pace at which the merger gives them
            made.make_up(UtteranceId(n), 20.0)
            await asyncio.sleep(5.0)
            late_s = asyncio.get_running_loop().time() - began_s - 5.0 * (n - 1)
            assert late_s < 0.1
        await asyncio.sleep(1.0)
    assert made.told == [TranscriberReady(), TranscriberLost(True), BESIDE]
    assert made.answered == [UtteranceId(n) for n in range(2, 8)]
    assert len(engine.streams) >= 5, "two for the present, three for the past"
    assert sum(len(stream.committed) for stream in engine.streams) == 6, "nothing was asked for twice"


@virtual_time
async def test_what_was_begun_beside_can_be_taken_back_there() -> None:
    engine = FakeTranscriber()
    async with room(engine) as made:
        made.make_up(PAST)
        await asyncio.sleep(2.0)
        made.link.submit(Append(LATER, Sample(0), Sample(samples(1.0)), makes_up=True))
        made.link.submit(Append(NOW, Sample(0), Sample(samples(1.0))))
        await asyncio.sleep(1.0)
        made.link.submit(Clear(LATER))
        await asyncio.sleep(1.0)
    assert (engine.streams[0].cleared, engine.streams[1].cleared) == ([], [LATER])


@virtual_time
async def test_a_disk_that_gives_nothing_back_breaks_the_connection_that_needs_it() -> None:
    engine = FakeTranscriber()
    async with room(engine) as made:
        made.spool.read_fault = StoreError("SPOOL_STALLED", "the disk does not answer")
        made.say(NOW)
        await asyncio.sleep(0.2)
        assert made.healths[-1] == Link(Health.DOWN, "SPOOL_STALLED", "the disk does not answer")
        assert made.told[-1] == TranscriberLost()
        made.spool.read_fault = None
        await asyncio.sleep(2.0)
        made.say(LATER)
        await asyncio.sleep(2.0)
    assert made.answered == [LATER]
