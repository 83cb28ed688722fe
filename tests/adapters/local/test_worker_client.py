"""The real worker with the real models, on the first seconds of the recorded meeting."""

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.local import worker_client
from minuted_daemon.adapters.local.availability import local_engine_missing
from minuted_daemon.adapters.local.diarizer import DiarizerLimits, LocalDiarizer, LocalDiarizerStream
from minuted_daemon.adapters.local.transcriber import LocalTranscriber
from minuted_daemon.adapters.local.worker_client import LocalEngine
from minuted_daemon.core.events import (
    DiarizerEvent,
    SpeakerEnded,
    SpeakerStarted,
    TextCompleted,
    TextGrew,
    UtteranceId,
)
from minuted_daemon.errors import Rejected, Unavailable

STANDUP = Path(__file__).parents[2] / "audio" / "standup.wav"
BLOCK = 1_600

pytestmark = pytest.mark.timeout(90)  # two real models on a shared machine


PATIENT = DiarizerLimits(finish_s=30.0)
"""Audio comes here as fast as it goes, so much of it may be left at the end, on a machine with other work."""


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    running = LocalEngine()
    yield running
    await running.close()


def standup(start_s: float, end_s: float) -> np.ndarray:
    pcm, rate = soundfile.read(STANDUP, dtype="int16", start=int(start_s * 16_000), stop=int(end_s * 16_000))
    assert rate == 16_000
    return pcm


async def feed(stream: LocalDiarizerStream, pcm: np.ndarray) -> None:
    for at in range(0, len(pcm), BLOCK):
        await stream.send(pcm[at : at + BLOCK])


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z ]", "", text.lower()).split()


async def test_who_speaks_when(engine: LocalEngine) -> None:
    stream = await LocalDiarizer(engine, PATIENT).open()
    await feed(stream, standup(0.0, 16.0))
    await stream.finish()
    events: list[DiarizerEvent] = [event async for event in stream.events()]
    await stream.close()
    starts = [e for e in events if isinstance(e, SpeakerStarted)]
    ends = [e for e in events if isinstance(e, SpeakerEnded)]
    assert len(starts) == len(ends)
    segments = [s for s in json.loads(STANDUP.with_suffix(".json").read_text())["segments"] if s["start"] < 15.0]
    spoken: dict[str, set[str]] = {}
    for segment in segments:  # who starts within a segment is its speaker
        for event in starts:
            if segment["start"] - 0.15 <= event.at / 16_000 < segment["end"] - 0.2:
                spoken.setdefault(segment["speaker"], set()).add(event.label)
    assert spoken.keys() == {"Emma", "Michael"}
    assert all(len(labels) == 1 for labels in spoken.values())
    assert spoken["Emma"] != spoken["Michael"]


async def test_what_is_said(engine: LocalEngine) -> None:
    transcriber = LocalTranscriber(engine)
    stream = await transcriber.open(["en"])
    events = stream.events()
    pcm = standup(5.6, 10.42)
    await stream.append(UtteranceId(7), pcm[: 3 * 16_000])
    partial = await anext(events)
    assert isinstance(partial, TextGrew)
    assert partial.replaces
    assert partial.utterance == 7
    assert "sure" in words(partial.text)
    await stream.append(UtteranceId(7), pcm[3 * 16_000 :])
    await stream.commit(UtteranceId(7))
    await stream.commit(UtteranceId(8))
    completed = [event async for event in _until_completed(events, 2)]
    assert completed[0].utterance == 7
    said = words("Sure. The backend is ready, and we finished the database migration yesterday.")
    assert len(set(said) & set(words(completed[0].text))) >= len(set(said)) - 2
    assert completed[1] == TextCompleted(UtteranceId(8), "")
    await stream.close()
    assert [event async for event in events] == []


async def test_what_was_cleared_gives_no_text_even_if_the_utterance_begins_again(engine: LocalEngine) -> None:
    stream = await LocalTranscriber(engine).open([])
    await stream.append(UtteranceId(1), standup(0.6, 5.3))
    await stream.clear(UtteranceId(1))
    await stream.append(UtteranceId(1), standup(12.3, 14.8))
    await stream.commit(UtteranceId(1))
    (completed,) = [event async for event in _until_completed(stream.events(), 1)]
    assert "morning" not in words(completed.text)
    assert "problems" in words(completed.text)
    await stream.close()


async def _until_completed(events: AsyncIterator, count: int) -> AsyncIterator[TextCompleted]:
    async for event in events:
        if isinstance(event, TextCompleted):
            yield event
            count -= 1
            if count == 0:
                return


async def test_silence_and_noise_have_no_text(engine: LocalEngine) -> None:
    stream = await LocalTranscriber(engine).open(["de"])
    noise = np.random.default_rng(0).normal(0, 200, 32_000).astype(np.int16)
    for number, pcm in enumerate((np.zeros(16_000, dtype=np.int16), noise, noise[:800])):
        await stream.append(UtteranceId(number), pcm)
        await stream.commit(UtteranceId(number))
    completed = [event async for event in _until_completed(stream.events(), 3)]
    assert [event.text for event in completed] == ["", "", ""]
    await stream.close()


async def test_a_worker_that_is_killed_breaks_its_streams_and_the_next_open_starts_another(engine: LocalEngine) -> None:
    diarizer, transcriber = LocalDiarizer(engine, PATIENT), LocalTranscriber(engine)
    heard, said = await diarizer.open(), await transcriber.open(["en"])
    first = engine.worker_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    for events in (heard.events(), said.events()):
        with pytest.raises(Unavailable) as broken:
            await anext(events)
        assert broken.value.reason == "WORKER_DIED"
    with pytest.raises(Unavailable):
        await heard.send(np.zeros(BLOCK, dtype=np.int16))
    with pytest.raises(Unavailable):
        await said.commit(UtteranceId(1))
    assert engine.worker_pid is None
    await heard.close()
    await said.close()
    again = await transcriber.open(["en"])
    assert engine.worker_pid not in (None, first)
    await again.append(UtteranceId(1), standup(12.3, 14.8))
    await again.commit(UtteranceId(1))
    (completed,) = [event async for event in _until_completed(again.events(), 1)]
    assert "problems" in words(completed.text)
    await again.close()


async def test_audio_beyond_the_bound_breaks_the_stream_and_not_its_neighbour(engine: LocalEngine) -> None:
    diarizer = LocalDiarizer(engine, replace(PATIENT, backlog=5 * 16_000))
    crowded, neighbour = await diarizer.open(), await diarizer.open()
    pcm = standup(0.0, 8.0)
    with pytest.raises(Unavailable) as overloaded:
        await feed(crowded, np.concatenate((pcm, pcm)))  # nothing is read of the worker meanwhile
    assert overloaded.value.reason == "OVERLOADED"
    with pytest.raises(Unavailable):
        async for _ in crowded.events():
            pass
    await crowded.close()
    await feed(neighbour, pcm[: 4 * 16_000])
    await neighbour.finish()
    assert any(isinstance(event, SpeakerStarted) for event in [e async for e in neighbour.events()])
    await neighbour.close()


async def test_two_sessions_share_the_worker_and_take_turns(engine: LocalEngine) -> None:
    diarizer = LocalDiarizer(engine, PATIENT)
    streams = [await diarizer.open(), await diarizer.open()]
    ends: list[int] = []

    async def listen(number: int) -> None:
        async for event in streams[number].events():
            ends.extend([number] if isinstance(event, SpeakerEnded) else [])

    await feed(streams[0], standup(0.0, 9.0))  # all of the first before anything of the second
    await feed(streams[1], standup(0.0, 9.0))
    async with asyncio.TaskGroup() as tasks:
        for number in (0, 1):
            tasks.create_task(listen(number))
            await streams[number].finish()
    assert ends.index(1) < len(ends) - 1 - ends[::-1].index(0)
    for stream in streams:
        await stream.close()


async def test_closing_ends_the_worker(engine: LocalEngine) -> None:
    stream = await LocalTranscriber(engine).open([])
    pid = engine.worker_pid
    assert pid is not None
    await engine.close()
    await engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await stream.close()


async def test_a_worker_without_streams_is_stopped_after_a_while() -> None:
    engine = LocalEngine(idle_s=0.01)
    transcriber = LocalTranscriber(engine)
    first, second = await transcriber.open([]), await transcriber.open([])
    pid = engine.worker_pid
    assert pid is not None
    watch = os.pidfd_open(pid)
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(watch, gone.set)
    try:
        await first.close()
        await second.append(UtteranceId(1), standup(12.3, 14.8))
        await second.commit(UtteranceId(1))
        assert [event async for event in _until_completed(second.events(), 1)]
        assert not gone.is_set()
        await second.close()
        async with asyncio.timeout(10):
            await gone.wait()
        assert engine.worker_pid is None
    finally:
        asyncio.get_running_loop().remove_reader(watch)
        os.close(watch)
        await engine.close()


async def test_a_signal_to_the_group_is_not_the_workers(engine: LocalEngine) -> None:
    stream = await LocalTranscriber(engine).open([])
    assert engine.worker_pid is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(engine.worker_pid, number)
    await stream.append(UtteranceId(1), standup(12.3, 14.8))
    await stream.commit(UtteranceId(1))
    assert [event async for event in _until_completed(stream.events(), 1)]
    await stream.close()


def test_the_worker_dies_with_a_daemon_that_is_killed() -> None:
    code = """
import asyncio
from minuted_daemon.adapters.local.worker_client import LocalEngine
from minuted_daemon.adapters.local.transcriber import LocalTranscriber
async def main():
    engine = LocalEngine()
    await LocalTranscriber(engine).open([])
    print(engine.worker_pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        worker = next(int(line) for line in daemon.stdout if line.strip().isdigit())
        watch = os.pidfd_open(worker)
        try:
            daemon.kill()
            gone = select.select([watch], [], [], 10)[0]
        finally:
            os.close(watch)
    assert gone


def test_the_daemon_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from minuted_daemon.adapters.local import availability, diarizer, transcriber, worker_client\n"
        "assert availability.local_engine_missing() is None\n"
        "print(*sorted({'onnxruntime', 'scipy', 'kaldi_native_fbank', 'moonshine_voice'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = local_engine_missing(("numpy", "no_such_package"))
    monkeypatch.setattr(worker_client, "local_engine_missing", lambda: missing)
    assert missing is not None
    assert "no_such_package" in missing
    assert "numpy" not in missing
    with pytest.raises(Rejected) as refused:
        await LocalDiarizer(LocalEngine()).open()
    assert refused.value.reason == "ENGINE_MISSING"
