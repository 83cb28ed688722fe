"""The daemon dies behind a redaction: what was taken out is not heard again, and the clock never goes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from minuted_daemon.core.channels.choice import EVERY_CHANNEL, ChannelChoice
from minuted_daemon.core.records import IntervalKind, IntervalRecord
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, samples
from minuted_daemon.errors import StoreError, WrongState
from minuted_daemon.ports.spool import Retained
from minuted_daemon.service.recovery.state import resumed
from minuted_daemon.service.views import StartRequest, Stretch
from tests.fakes_service.capture import FakeCapture, FakeCaptureStream, audio
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.house import House
from tests.fakes_service.spools import FakeSpool
from tests.fakes_service.virtual_time import virtual_time
from tests.support.crashes import after_the_death_of, covered, remove, spool_of

FILM = "file:/film.wav"


class Reader(FakeCapture):
    """Remembers where files were gone on with."""

    def __init__(self) -> None:
        super().__init__(audio((20.0, True)))
        self.skipped: list[int] = []

    async def open(
        self, device: str, *, wait: bool = False, skip_blocks: int = 0, choice: ChannelChoice = EVERY_CHANNEL
    ) -> FakeCaptureStream:
        self.skipped.append(skip_blocks)
        return await super().open(device, wait=wait, skip_blocks=skip_blocks, choice=choice)


def house() -> House:
    made = House()
    made.capture = Reader()
    made.diarizer = FakeDiarizer([("A", 1.0, 60.0)])
    return made


def back_from(made: House) -> House:
    back = after_the_death_of(made)
    back.capture = Reader()
    return back


@asynccontextmanager
async def redacted(device: str) -> AsyncIterator[tuple[House, Sample, Sample]]:
    """A daemon that came back after the last 4 s of a session had been taken out, with or without an answer."""
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("room", device, keep_audio=True))
        await asyncio.sleep(12.05)
        left = await registry.redact("room", Stretch(last=Sample(samples(4.0))))
        back = back_from(made)
    assert left.end == samples(12.0)
    yield back, left.start, left.end


@virtual_time
@pytest.mark.parametrize("start_within_a_block", [0, 118])
@pytest.mark.parametrize("device", [FILM, "default"])
async def test_the_clock_goes_on_behind_what_was_erased(device: str, start_within_a_block: int) -> None:
    async with redacted(device) as (back, start, end):
        remove(spool_of(back), start, end)
        spool_of(back)._end -= start_within_a_block
        async with back.open() as registry:
            await registry.recover()
            assert (await registry.view("room")).heard == end
            await asyncio.sleep(0.05)
            told = await covered(back)
            await asyncio.sleep(2.0)
            assert spool_of(back).end == (await registry.view("room")).heard > end
            assert all(not start <= at < end for at, _ in spool_of(back)._blocks)
        assert back.capture.skipped == [end // BLOCK if device == FILM else 0]  # type: ignore[attr-defined]
        assert told.muted == end - start
        assert "SPOOL_DAMAGED" not in told.lost


@virtual_time
@pytest.mark.parametrize("by_an_older_version", [False, True])
@pytest.mark.parametrize("written_to_s", [11.6, 12.0])
async def test_what_was_granted_and_not_answered_is_as_good_as_gone(
    written_to_s: float, by_an_older_version: bool
) -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(StartRequest("room", FILM, keep_audio=True))
        await asyncio.sleep(12.05)
        made.audio.fault = StoreError("DISK_FAILED", "the disk fails")
        with pytest.raises(StoreError):
            await registry.redact("room", Stretch(last=Sample(samples(4.0))))
        back = back_from(made)
    (asked,) = back.store.requests
    assert asked.interval is not None
    if by_an_older_version:  # which put the request down before it changed anything
        back.store.lose(asked.interval)
    remove(spool_of(back), samples(written_to_s), samples(12.0))
    async with back.open() as registry:
        await registry.recover()
        assert (await registry.view("room")).heard == samples(12.0)
        await asyncio.sleep(0.0)
        assert back.spools.erased == [(view.record.id, samples(8.0), samples(12.0))]
        await asyncio.sleep(4.0)
        words = [turn for turn in back.store.turns_known if turn.text and turn.end > samples(8.0)]
        assert all(turn.start >= samples(12.0) for turn in words)
        assert all(one.turn.turn.end <= samples(8.0) or one.turn.turn.start >= samples(12.0) for one in back.partials)
    assert back.capture.skipped == [samples(12.0) // BLOCK]  # type: ignore[attr-defined]


@virtual_time
async def test_what_is_asked_to_go_is_gone_for_whoever_goes_on() -> None:
    made = house()
    async with made.open() as registry:
        view = await registry.start(StartRequest("room", FILM, keep_audio=True))
        await asyncio.sleep(12.05)
        back = back_from(made)
    interval = IntervalRecord(
        "i",  # type: ignore[arg-type]
        view.record.id,
        IntervalKind.MUTED,
        Sample(samples(8.0)),
        Sample(samples(14.0)),
        0.0,
        reason="REDACTED",
    )
    record = await back.store.session("room")
    behind = await resumed(record, back.store, spool_of(back), [interval])  # type: ignore[arg-type]
    assert behind.heard == spool_of(back).end == samples(14.0)
    assert behind.redacted == [(samples(8.0), samples(14.0))]


@virtual_time
@pytest.mark.parametrize(("device", "goes_on_at_s"), [(FILM, 2.5), ("default", 3.0)])
async def test_a_turn_whose_end_is_not_in_the_spool_is_heard_again_where_that_is_possible(
    device: str, goes_on_at_s: float
) -> None:
    made = house()
    made.capture.script = audio((1.0, False), (1.98, True), (6.0, False))
    made.diarizer = FakeDiarizer([("A", 1.0, 2.98)])
    async with made.open() as registry:
        await registry.start(StartRequest("room", device))
        await asyncio.sleep(6.05)
        back = back_from(made)
    (turn,) = back.store.turns_known
    assert samples(2.9) < turn.end <= samples(3.0)
    remove(spool_of(back), samples(2.5), samples(6.0))
    record = await back.store.session("room")
    assert (await resumed(record, back.store, spool_of(back))).heard == samples(goes_on_at_s)  # type: ignore[arg-type]


def slow(spool: FakeSpool, read_takes_s: float) -> None:
    """Have the audio looked at again slowly enough to come in between."""
    read = spool.read

    async def slowly(start: Sample, end: Sample, rate_hz: int) -> Retained:
        got = await read(start, end, rate_hz)
        await asyncio.sleep(read_takes_s if rate_hz == RATE_HZ else 0.0)
        return got

    spool.read = slowly  # type: ignore[method-assign]


@virtual_time
@pytest.mark.parametrize("after_s", [0.0, 4.7])
async def test_who_redacts_right_after_the_start_means_the_end_of_the_spool(after_s: float) -> None:
    made = house()
    made.capture.script = audio((1.0, False), (2.0, True), (6.0, False), (1.5, True), (9.0, False))
    made.transcriber.answers = False
    async with made.open() as registry:
        await registry.start(StartRequest("room", "default", diarizer="none"))
        await asyncio.sleep(12.05)
        back = back_from(made)
    assert back.store.turns_known == []
    back.capture.script = audio((9.0, False))
    slow(spool_of(back), read_takes_s=1.0)
    async with back.open() as registry:
        serving = asyncio.Event()
        await registry.recover(serving)
        serving.set()
        await asyncio.sleep(after_s)
        left = await registry.redact("room", Stretch(last=Sample(samples(4.0))))
        assert (left.start, left.end) == (samples(8.0), samples(12.0))
        assert (await registry.list(1, None)).items[0].heard == samples(12.0)
        await asyncio.sleep(16.0)
        (turn,) = back.store.turns_known
        assert (turn.start, turn.end) == pytest.approx((samples(1.0), samples(3.0)), abs=samples(0.2))
        assert all(one.turn.turn.end <= samples(8.0) for one in back.partials)
        assert len(back.transcriber.streams[0].committed) == 1, "nothing else was sent"


@virtual_time
async def test_before_a_session_goes_on_nobody_can_say_what_its_last_seconds_are() -> None:
    made = house()
    async with made.open() as registry:
        await registry.start(StartRequest("room", FILM))
        await asyncio.sleep(12.05)
        back = back_from(made)
    async with back.open() as registry:
        serving = asyncio.Event()
        await registry.recover(serving)
        with pytest.raises(WrongState) as refused:
            await registry.redact("room", Stretch(last=Sample(samples(4.0))))
        assert refused.value.reason == "SESSION_RESUMING"
        assert back.store.requests == []
        serving.set()
        await asyncio.sleep(0.1)
        left = await registry.redact("room", Stretch(last=Sample(samples(4.0))))
        assert left.end >= samples(12.0)
