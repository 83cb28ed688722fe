"""What every diarizer and transcriber promises: the vendors' against their stand-ins, the local ones, and the fakes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.local.availability import local_engine_missing
from minuted_daemon.adapters.local.diarizer import LocalDiarizer
from minuted_daemon.adapters.local.transcriber import LocalTranscriber
from minuted_daemon.adapters.local.worker_client import LocalEngine
from minuted_daemon.adapters.openai.engine import OpenAITranscriber
from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer
from minuted_daemon.core.events import (
    DiarizerNews,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TextFailed,
    UtteranceId,
)
from minuted_daemon.core.samples import RATE_HZ, wide
from minuted_daemon.ports.engines import Diarizer, Transcriber, TranscriberStream
from tests.fakes.meeting import Meeting, render, synthetic_meeting
from tests.fakes.processes import openai_standin, pyannote_standin
from tests.fakes_service.diarizer import FakeDiarizer
from tests.fakes_service.transcriber import FakeTranscriber

U = UtteranceId
KEY = "key-5510"
BLOCKS = 20
STANDUP = Path(__file__).parents[1] / "audio" / "standup.wav"

Opened = Callable[[], AbstractAsyncContextManager[object]]

pytestmark = pytest.mark.timeout(60)  # the local engines load their models, on a shared machine

LOCAL = pytest.param("local", marks=pytest.mark.skipif(local_engine_missing() is not None, reason="not installed"))


@pytest.fixture(scope="module")
def meeting() -> Meeting:
    return synthetic_meeting(3, speakers=2, minutes=0.1)


@pytest.fixture(scope="module")
def origins(meeting: Meeting) -> Iterator[dict[str, str]]:
    """Both vendors' stand-ins."""
    with pyannote_standin([meeting], knobs={"key": KEY}) as one, openai_standin([meeting], knobs={"key": KEY}) as other:
        yield {"pyannote": one.base_url, "openai": other.base_url}


@pytest.fixture(params=["fake", "pyannote", LOCAL])
async def diarizer(request: pytest.FixtureRequest, origins: dict[str, str]) -> AsyncIterator[Diarizer]:
    async with _closed(request.param, origins) as (diarizer, _):
        yield diarizer


@pytest.fixture(params=["fake", "openai", LOCAL])
async def transcriber(request: pytest.FixtureRequest, origins: dict[str, str]) -> AsyncIterator[Transcriber]:
    async with _closed(request.param, origins) as (_, transcriber):
        yield transcriber


@asynccontextmanager
async def _closed(name: str, origins: dict[str, str]) -> AsyncIterator[tuple[Diarizer, Transcriber]]:
    diarizer: Diarizer
    transcriber: Transcriber
    worker = LocalEngine()
    match name:
        case "local":
            diarizer, transcriber = LocalDiarizer(worker), LocalTranscriber(worker)
        case "fake":
            diarizer, transcriber = FakeDiarizer((("A", 0.2, 0.9),), lag_s=0.1), FakeTranscriber()
        case _:
            diarizer = PyannoteDiarizer(origins["pyannote"], KEY, 18_000)
            transcriber = OpenAITranscriber(origins["openai"], KEY, "gpt-live-transcribe")
    try:
        yield diarizer, transcriber
    finally:
        for engine in (diarizer, transcriber, worker):
            await engine.close()
            await engine.close()


async def test_a_diarizer_ends_soon_after_it_is_finished_and_tells_of_nothing_it_was_not_sent(
    diarizer: Diarizer, meeting: Meeting
) -> None:
    stream = await diarizer.open()
    # The stand-in knows its meeting alone, whose voices are no speech to a model.
    pcm = soundfile.read(STANDUP, dtype="int16")[0] if isinstance(diarizer, LocalDiarizer) else render(meeting)
    clock = asyncio.get_running_loop().time
    told: list[DiarizerNews] = []

    async def read() -> None:
        told.extend([event async for event in stream.events()])

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        began = clock()
        for number in range(BLOCKS):
            await asyncio.sleep(began + number / 10 - clock())
            await stream.send(pcm[number * 1600 : (number + 1) * 1600])
        await stream.finish()
        async with asyncio.timeout(5.0):
            await reading
    assert told, "people spoke"
    speaking: set[str] = set()
    for event in told:
        assert isinstance(event, SpeakerStarted | SpeakerEnded)
        assert 0 <= event.at <= BLOCKS * 1600
        if isinstance(event, SpeakerStarted):
            assert event.label not in speaking
            speaking.add(event.label)
        else:
            speaking.remove(event.label)
    await stream.close()
    await stream.close()


async def test_a_diarizer_may_be_closed_at_any_time(diarizer: Diarizer) -> None:
    streams = [await diarizer.open() for _ in range(2)]
    await streams[0].send(np.zeros(1600, np.int16))
    async with asyncio.timeout(4.0):
        for stream in (*streams, *streams):
            await stream.close()


async def test_a_transcriber_answers_each_commit_once_and_under_its_own_utterance(
    transcriber: Transcriber, meeting: Meeting
) -> None:
    stream = await transcriber.open(["en"])
    assert stream.rate_hz == transcriber.capabilities.rate_hz
    assert stream.expires_in_s is None or stream.expires_in_s > 60
    sound = spoken(meeting, stream)
    answers: dict[UtteranceId, int] = {}

    async def read() -> None:
        async for event in stream.events():
            if isinstance(event, TextCompleted | TextFailed):
                answers[event.utterance] = answers.get(event.utterance, 0) + 1

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        for number in (1, 2, 3, 4):
            for at in range(0, len(sound), 2_400):
                await stream.append(U(number), sound[at : at + 2_400])
            await (stream.clear if number == 3 else stream.commit)(U(number))
        async with asyncio.timeout(20.0):
            while len(answers) < 3:  # noqa: ASYNC110 - whatever engine it is
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        await stream.close()
        await stream.close()
        async with asyncio.timeout(2.0):
            await reading
    assert answers == {U(1): 1, U(2): 1, U(4): 1}


async def test_a_transcriber_may_be_closed_at_any_time(transcriber: Transcriber) -> None:
    streams = [await transcriber.open(()) for _ in range(2)]
    await streams[0].append(U(1), np.zeros(1600, np.int16))
    async with asyncio.timeout(4.0):
        for stream in (*streams, *streams):
            await stream.close()
    assert [event async for event in streams[1].events()] == []


def spoken(meeting: Meeting, stream: TranscriberStream) -> NDArray[np.int16]:
    """Return a second and a half of the meeting, at the rate of the stream."""
    start, end = 8_000, 32_000
    if stream.rate_hz == RATE_HZ:
        return render(meeting)[start:end]
    return render(meeting, stream.rate_hz)[wide(start) : wide(end)]
