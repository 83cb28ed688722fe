"""The engine against the vendor's stand-in, which runs in a process of its own and checks what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer, PyannoteStream
from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerStarted
from minuted_daemon.errors import Garbled, Rejected, Unavailable, VendorError
from tests.fakes.meeting import Meeting, render, synthetic_meeting
from tests.fakes.processes import StandInProcess, pyannote_standin

KEY = "key-5510"


@pytest.fixture(scope="module")
def meeting() -> Meeting:
    return synthetic_meeting(3, speakers=3, minutes=0.1)


@pytest.fixture(scope="module")
def process(meeting: Meeting) -> Iterator[StandInProcess]:
    with pyannote_standin([meeting], knobs={"key": KEY}) as running:
        yield running


@pytest.fixture
def standin(process: StandInProcess) -> Iterator[StandInProcess]:
    process.control(clear_faults=True)
    yield process
    process.control(clear_faults=True, outage=None)


@asynccontextmanager
async def diarizer(standin: StandInProcess, key: str = KEY) -> AsyncIterator[PyannoteDiarizer]:
    engine = PyannoteDiarizer(standin.base_url, key, 18_000)
    try:
        yield engine
    finally:
        await engine.close()


async def hear(stream: PyannoteStream, meeting: Meeting, blocks: int) -> None:
    """Send a meeting's audio in real time."""
    pcm, loop = render(meeting), asyncio.get_running_loop()
    began = loop.time()
    for block in range(blocks):
        await asyncio.sleep(began + block * 0.1 - loop.time())
        await stream.send(pcm[block * 1600 : (block + 1) * 1600])


async def collect(stream: PyannoteStream) -> list[DiarizerEvent]:
    return [event async for event in stream.events()]


async def test_a_meeting_is_heard_and_its_speakers_come_back(standin: StandInProcess, meeting: Meeting) -> None:
    blocks = 50
    async with diarizer(standin) as engine, asyncio.TaskGroup() as tasks:
        stream = await engine.open()
        reading = tasks.create_task(collect(stream))
        await hear(stream, meeting, blocks)
        await stream.finish()
        told = await reading
        await stream.close()
    seen = standin.stats()["connections"][-1]
    assert seen["close_code"] == 1000
    truth = [(at, kind) for at, kind, _ in meeting.boundaries if at < blocks * 1600 - 8000]
    kinds = {1: SpeakerStarted, 0: SpeakerEnded}
    assert len(truth) > 2
    for at, kind in truth:
        assert any(isinstance(event, kinds[kind]) and abs(event.at - at) < 1600 for event in told), (at, kind)


async def fault_in_use(engine: PyannoteDiarizer, meeting: Meeting) -> VendorError:
    stream = await engine.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(fault_of(stream))
            with pytest.raises(VendorError):
                await hear(stream, meeting, 50)
        return reading.result()
    finally:
        await stream.close()


async def fault_of(stream: PyannoteStream) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await collect(stream)
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ({"do": "close", "code": 1011}, Unavailable, "CLOSED_1011"),
        ({"do": "reset"}, Unavailable, "CLOSED_1006"),
        ({"do": "error_then_close"}, Unavailable, "VENDOR_ERROR"),
        ({"do": "error", "message": "Invalid chunk size"}, Garbled, "FRAME_REFUSED"),
    ],
)
async def test_faults_in_mid_stream(
    standin: StandInProcess, meeting: Meeting, fault: dict[str, object], kind: type[VendorError], reason: str
) -> None:
    standin.control(faults=[{"at": "stream", "after_s": 0.3, **fault}])
    async with diarizer(standin) as engine:
        error = await fault_in_use(engine, meeting)
    assert isinstance(error, kind)
    assert error.reason == reason


async def test_garbage_between_events_does_no_harm(standin: StandInProcess, meeting: Meeting) -> None:
    standin.control(faults=[{"at": "stream", "after_s": 0.2, "do": "garbage"}])
    async with diarizer(standin) as engine, asyncio.TaskGroup() as tasks:
        stream = await engine.open()
        reading = tasks.create_task(collect(stream))
        await hear(stream, meeting, 10)
        await stream.finish()
        await reading
        assert stream.counts["nonsense"] > 3
        await stream.close()


@pytest.mark.parametrize(
    ("at", "fault", "kind", "reason"),
    [
        ("post", {"do": "status", "status": 402}, Rejected, "PAYMENT_REQUIRED"),
        ("post", {"do": "status", "status": 403}, Rejected, "ACCESS_DENIED"),
        ("post", {"do": "status", "status": 429, "retry_after": 3}, Unavailable, "RATE_LIMITED"),
        ("post", {"do": "status", "status": 503}, Unavailable, "VENDOR_DOWN"),
        ("post", {"do": "reset"}, Unavailable, "VENDOR_DOWN"),
        ("post", {"do": "nonsense"}, Garbled, "BAD_ANSWER"),
        ("upgrade", {"do": "status", "status": 403}, Unavailable, "OPEN_REFUSED"),
        ("upgrade", {"do": "reset"}, Unavailable, "VENDOR_DOWN"),
    ],
)
async def test_faults_at_the_opening(
    standin: StandInProcess, at: str, fault: dict[str, object], kind: type[VendorError], reason: str
) -> None:
    standin.control(faults=[{"at": at, **fault}])
    async with diarizer(standin) as engine:
        with pytest.raises(kind) as caught:
            await engine.open()
        assert caught.value.reason == reason
        stream = await engine.open()  # and the next one, on a new URL, succeeds
        await stream.close()


async def test_a_wrong_key(standin: StandInProcess) -> None:
    async with diarizer(standin, "key-0000") as engine:
        with pytest.raises(Rejected) as caught:
            await engine.open()
    assert caught.value.reason == "KEY_REJECTED"


async def test_a_burst_does_not_get_the_stream_closed(standin: StandInProcess, meeting: Meeting) -> None:
    pcm = render(meeting)
    async with diarizer(standin) as engine, asyncio.TaskGroup() as tasks:
        stream = await engine.open()
        reading = tasks.create_task(collect(stream))
        for block in range(55):
            await stream.send(pcm[block * 1600 : (block + 1) * 1600])
        await stream.finish()
        await reading
        await stream.close()
