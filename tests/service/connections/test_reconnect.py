"""The links to the engines, each alone over a fake engine, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from minuted_daemon.core.events import (
    Append,
    Clear,
    Commit,
    EpochClosed,
    EpochOpened,
    TextCompleted,
    TranscriberFaltered,
    TranscriberLost,
    TranscriberReady,
    TranscriberRecovered,
    TranscriberRefused,
    UtteranceId,
)
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.errors import Rejected, Unavailable
from minuted_daemon.service.connections import diarizer_link
from minuted_daemon.service.connections import transcriber_connection as transcriber_line
from minuted_daemon.service.connections.diarizer_link import DiarizerLink
from minuted_daemon.service.connections.transcriber_connection import TranscriberOpener
from minuted_daemon.service.connections.transcriber_link import TranscriberLink
from minuted_daemon.service.retries.gate import Retries
from tests.fakes_service.capture import block
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.transcriber import FakeTranscriber
from tests.fakes_service.virtual_time import virtual_time
from tests.support.diarizer_sink import Sink

DOWN = Unavailable("VENDOR_DOWN", "the vendor is down")
ONE, TWO = UtteranceId(1), UtteranceId(2)


# --- diarizer ---


@asynccontextmanager
async def diarizing(engine: FakeDiarizer) -> AsyncIterator[tuple[DiarizerLink, Sink, "asyncio.Task[None]"]]:
    sink = Sink()
    link = DiarizerLink(engine, Retries(lambda: 0.5), sink, sink.healths.append, structlog.get_logger())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        await asyncio.sleep(0.01)
        yield link, sink, task
        task.cancel()


async def speak(link: DiarizerLink, first: int, last: int) -> None:
    for n in range(first, last):
        link.hear(Sample(n * BLOCK), block(False, n).pcm)
        await asyncio.sleep(0.1)


@virtual_time
async def test_an_epoch_opens_with_its_first_block_and_closes_where_it_had_heard_to() -> None:
    engine = FakeDiarizer()
    async with diarizing(engine) as (link, sink, _):
        await asyncio.sleep(1.0)
        assert sink.events == []
        await speak(link, 7, 12)
        engine.streams[0].break_now(DOWN)
        await speak(link, 12, 14)  # nobody takes this
        await asyncio.sleep(1.0)
        await speak(link, 20, 22)
    assert [type(event) for event in sink.events] == [EpochOpened, EpochClosed, EpochOpened, EpochClosed]
    first, heard, second, _ = sink.events
    assert first == EpochOpened(1, 7 * BLOCK)  # type: ignore[arg-type]
    assert heard == EpochClosed(1, 12 * BLOCK)  # type: ignore[arg-type]
    assert second == EpochOpened(2, 20 * BLOCK)  # type: ignore[arg-type]
    assert engine.streams[1].sent == 2 * BLOCK


@virtual_time
async def test_an_epoch_that_heard_nothing_is_not_told() -> None:
    engine = FakeDiarizer()
    async with diarizing(engine) as (_, sink, _task):
        engine.streams[0].break_now(DOWN)
        await asyncio.sleep(0.1)
    assert sink.events == []
    assert [link.health for link in sink.healths] == [Health.CONNECTING, Health.UP, Health.DOWN]


@virtual_time
async def test_a_connection_that_always_breaks_makes_no_storm() -> None:
    engine = FakeDiarizer()
    async with diarizing(engine):
        for _ in range(600):
            for stream in engine.streams:
                if stream.broken is None:
                    stream.break_now(DOWN)
            await asyncio.sleep(0.5)
    assert len(engine.attempts_s) <= 16, "in five minutes"
    assert engine.attempts_s[1] - engine.attempts_s[0] <= 1.6


@virtual_time
async def test_a_stalled_send_breaks_the_epoch() -> None:
    engine = FakeDiarizer()
    engine.send_takes_s = 1000.0
    async with diarizing(engine) as (link, sink, _):
        await speak(link, 0, 35)
        await asyncio.sleep(0.2)
        assert engine.streams[0].closed
        assert Health.DOWN in {told.health for told in sink.healths}
        assert sink.healths[2].reason == "SEND_STALLED"


@virtual_time
async def test_finish_waits_for_the_last_events() -> None:
    engine = FakeDiarizer([("A", 0.5, 0.9)], lag_s=0.4)
    async with diarizing(engine) as (link, sink, task):
        await speak(link, 0, 10)
        link.finish()
        await asyncio.wait({task}, timeout=5.0)
        assert task.done()
        assert engine.streams[0].finished
        assert len(sink.sent_to) == 2
        assert isinstance(sink.events[-1], EpochClosed)


@virtual_time
async def test_a_hanging_open_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeDiarizer()

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(engine, "open", hang)
    async with diarizing(engine) as (_, sink, _task):
        await asyncio.sleep(diarizer_link.OPEN_LIMIT_S + 0.1)
        assert sink.healths[-1].reason == "OPEN_TIMEOUT"


@virtual_time
async def test_a_bug_in_an_adapter_is_a_fault_of_the_link_only(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeDiarizer()

    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine, "open", broken)
    async with diarizing(engine) as (_, sink, task):
        await asyncio.sleep(0.1)
        assert not task.done()
        assert (sink.healths[-1].health, sink.healths[-1].reason) == (Health.DOWN, "INTERNAL_FAULT")


# --- transcriber ---


@asynccontextmanager
async def transcribing(
    engine: FakeTranscriber, seconds: float = 30.0
) -> AsyncIterator[tuple[TranscriberLink, Sink, "asyncio.Task[None]"]]:
    spool = FakeSpool()
    for n in range(round(seconds * 10)):
        spool.append(block(True, n))
    sink = Sink()
    link = TranscriberLink(
        TranscriberOpener(engine, ("en",), spool),
        Retries(lambda: 0.5),
        sink,
        sink.healths.append,
        structlog.get_logger(),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        await asyncio.sleep(0.01)
        yield link, sink, task
        task.cancel()


@virtual_time
async def test_ranges_become_audio_and_commits_are_padded() -> None:
    engine = FakeTranscriber(24_000)
    engine.partials = False
    async with transcribing(engine) as (link, sink, _):
        link.submit(Append(ONE, Sample(1601), Sample(3201)))
        link.submit(Append(ONE, Sample(3201), Sample(4001)))
        link.submit(Commit(ONE, pad=800))
        await asyncio.sleep(1.0)
    heard = engine.streams[0].heard(ONE)
    assert len(heard) == 2400 * 3 // 2 + 1200
    assert not heard[-1200:].any()
    assert heard[:-1200].any()
    assert engine.languages == ("en",)
    assert sink.events[:1] == [TranscriberReady()]
    assert isinstance(sink.events[1], TextCompleted)


@virtual_time
async def test_retained_audio_is_sent_at_most_four_times_as_fast_as_real_time() -> None:
    engine = FakeTranscriber()
    async with transcribing(engine) as (link, _, _task):
        began_s = asyncio.get_running_loop().time()
        link.submit(Append(ONE, Sample(0), Sample(samples(20.0))))
        link.submit(Commit(ONE, pad=0))
        await engine.streams[0].any_commit.wait()
        assert 4.5 <= asyncio.get_running_loop().time() - began_s <= 5.2
    assert len(engine.streams[0].heard(ONE)) == 20 * 24_000


@virtual_time
async def test_a_clear_takes_back_what_was_not_sent_yet() -> None:
    engine = FakeTranscriber()
    async with transcribing(engine) as (link, _, _task):
        link.submit(Append(ONE, Sample(0), Sample(samples(20.0))))
        await asyncio.sleep(1.0)
        link.submit(Clear(ONE))
        link.submit(Append(TWO, Sample(0), Sample(samples(0.5))))
        link.submit(Commit(TWO, pad=0))
        await asyncio.sleep(1.0)
    (stream,) = engine.streams
    assert len(stream.heard(ONE)) < 6 * 24_000
    assert (stream.cleared, stream.committed) == ([ONE], [TWO])


@virtual_time
async def test_a_break_is_told_before_the_next_connection_and_voids_what_waited() -> None:
    engine = FakeTranscriber()
    async with transcribing(engine) as (link, sink, _):
        link.submit(Append(ONE, Sample(0), Sample(samples(20.0))))
        await asyncio.sleep(0.5)
        engine.streams[0].break_now(DOWN)
        await asyncio.sleep(0.1)
        link.submit(Append(ONE, Sample(0), Sample(800)))  # void
        await asyncio.sleep(2.0)
    told = [event for event in sink.events if isinstance(event, TranscriberReady | TranscriberLost)]
    assert told == [TranscriberReady(), TranscriberLost(), TranscriberReady()]
    assert engine.streams[0].closed
    assert engine.streams[1].audio == {}


@virtual_time
async def test_too_many_waiting_commands_break_the_connection() -> None:
    engine = FakeTranscriber()
    engine.send_takes_s = 5.0
    async with transcribing(engine) as (link, sink, _):
        for n in range(transcriber_line.QUEUE_COMMANDS + 5):
            link.submit(Append(UtteranceId(n + 1), Sample(n), Sample(n + 1)))
        await asyncio.sleep(6.0)
        assert sink.healths[-1].reason == "SEND_STALLED" or sink.healths[-2].reason == "SEND_STALLED"
        assert TranscriberLost() in sink.events


@virtual_time
async def test_neighbouring_ranges_that_wait_become_one() -> None:
    engine = FakeTranscriber()
    engine.send_takes_s = 0.3
    engine.partials = False
    async with transcribing(engine) as (link, sink, _):
        for n in range(transcriber_line.QUEUE_COMMANDS * 2):
            link.submit(Append(ONE, Sample(n), Sample(n + 1)))
        link.submit(Commit(ONE, pad=0))
        await asyncio.sleep(3.0)
    assert TranscriberLost() not in sink.events
    assert len(engine.streams[0].heard(ONE)) == transcriber_line.QUEUE_COMMANDS * 3


@virtual_time
async def test_a_refusal_is_told_with_its_times_and_asked_about_again_when_it_is_due() -> None:
    engine = FakeTranscriber()
    async with transcribing(engine) as (_, sink, _task):
        engine.streams[0].break_now(Rejected("QUOTA_EXHAUSTED", "no credit", 300.0))
        await asyncio.sleep(299.0)
        assert sink.events == [TranscriberReady(), TranscriberLost(), TranscriberRefused()]
        refused = sink.healths[-1]
        assert refused == Link(Health.REFUSED, "QUOTA_EXHAUSTED", "no credit")
        assert refused.since_s is not None
        assert refused.next_s == pytest.approx(refused.since_s + 300.0, abs=1.0)
        assert len(engine.attempts_s) == 1
        await asyncio.sleep(2.0)
    assert sink.events[3:] == [TranscriberReady()]
    assert [link.health for link in sink.healths[-2:]] == [Health.REFUSED, Health.UP]
    assert len(engine.attempts_s) == 2


@virtual_time
async def test_a_refusal_that_is_asked_about_soon_shows_nothing_without_text() -> None:
    engine = FakeTranscriber()
    async with transcribing(engine) as (_, sink, _task):
        engine.streams[0].break_now(Rejected("KEY_REJECTED", "a slip", 1.0))
        await asyncio.sleep(3.0)
    assert sink.events == [TranscriberReady(), TranscriberLost(), TranscriberReady()]


@virtual_time
async def test_a_transcriber_that_fails_at_everything_is_not_told_to_be_up() -> None:
    engine = FakeTranscriber()
    with structlog.testing.capture_logs() as logged:
        async with transcribing(engine) as (link, sink, _):
            link.submit(TranscriberFaltered("INSUFFICIENT_AUDIO", 4))
            engine.streams[0].break_now(DOWN)
            await asyncio.sleep(5.0)
            link.submit(TranscriberRecovered(9, 17))
            await asyncio.sleep(0.1)
    told = [(one.health, one.reason) for one in sink.healths]
    failing = (Health.DOWN, "INSUFFICIENT_AUDIO")
    down = (Health.DOWN, "VENDOR_DOWN")
    assert told == [(Health.CONNECTING, ""), (Health.UP, ""), failing, down, failing, (Health.UP, "")]
    lines = [one for one in logged if one["event"].startswith("transcriber_")]
    assert [(one["event"], one["log_level"]) for one in lines] == [
        ("transcriber_failing", "warning"),
        ("transcriber_recovered", "info"),
    ]
    assert (lines[0]["reason"], lines[1]["failures"], lines[1]["waiting"]) == ("INSUFFICIENT_AUDIO", 9, 17)
