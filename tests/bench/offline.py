"""How well and how fast the offline engine works: `python -m tests.bench.offline [WAV...]`.

Beside each WAV (16 kHz mono) lies a JSON of what is said: {"segments": [{"speaker", "start", "end", "text"}]}. The
turns are built here in the simplest way, from all the events at the end; the real merge has a benchmark of its own.
"""

import asyncio
import json
import re
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import meeteval
import numpy as np
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.local.diarizer import LocalDiarizer, LocalDiarizerStream
from minuted_daemon.adapters.local.engine import LocalEngine
from minuted_daemon.adapters.local.transcriber import LocalTranscriber
from minuted_daemon.core.events import (
    DiarizerEvent,
    SpeakerEnded,
    SpeakerRelabelled,
    SpeakerStarted,
    TextCompleted,
    UtteranceId,
)
from minuted_daemon.core.samples import BLOCK, RATE_HZ

STANDUP = Path(__file__).parents[1] / "audio" / "standup.wav"
Interval = tuple[int, int, str]


@dataclass
class Heard:
    """The diarizer's events with what had been sent when they came, and how long single steps took."""

    events: list[DiarizerEvent] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)


async def diarize(stream: LocalDiarizerStream, pcm: NDArray[np.int16]) -> Heard:
    heard, sent = Heard(), 0

    async def listen() -> None:
        async for event in stream.events():
            heard.events.append(event)
            if not isinstance(event, SpeakerRelabelled):
                heard.lags_s.append((sent - event.at) / RATE_HZ)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen())
        for start in range(0, len(pcm) - BLOCK + 1, BLOCK):
            await stream.send(pcm[start : start + BLOCK])
            sent = start + BLOCK
            begun = time.monotonic()
            while stream.backlog_s >= 0.5:  # noqa: ASYNC110 - the stream has no event for it, nor needs one
                await asyncio.sleep(0.002)
            heard.waits_s.append(time.monotonic() - begun)
        await stream.finish()
    return heard


def intervals(events: list[DiarizerEvent]) -> list[Interval]:
    done: list[Interval] = []
    speaking: dict[str, int] = {}
    for event in events:
        match event:
            case SpeakerStarted(label, at):
                speaking[label] = at
            case SpeakerEnded(label, at):
                done.append((speaking.pop(label), at, label))
            case SpeakerRelabelled(old, new, start, end):
                relabelled: list[Interval] = []
                for first, last, label in done:
                    if label != old or last <= start or first >= end:
                        relabelled.append((first, last, label))
                        continue
                    relabelled += [(first, start, label)] if first < start else []
                    relabelled.append((max(first, start), min(last, end), new))
                    relabelled += [(end, last, label)] if last > end else []
                done = relabelled
    return sorted(done)


def turns(spoken: list[Interval], join_gap: int = round(0.8 * RATE_HZ)) -> list[Interval]:
    """One holder at a time: who starts later waits until the one before has ended; pauses of the same one stay in."""
    result: list[Interval] = []
    for start, end, label in spoken:
        if result:
            start = max(start, result[-1][1])
            if end <= start:
                continue
            if result[-1][2] == label and start - result[-1][1] <= join_gap:
                result[-1] = (result[-1][0], end, label)
                continue
        if end - start >= 0.1 * RATE_HZ:
            result.append((start, end, label))
    return result


async def transcribe(transcriber: LocalTranscriber, pcm: NDArray[np.int16], cut: list[Interval]) -> list[str]:
    stream = await transcriber.open(["en"])
    texts: dict[int, str] = {}
    margin = round(0.1 * RATE_HZ)
    for number, (start, end, _) in enumerate(cut):
        before = cut[number - 1][1] if number else 0
        behind = cut[number + 1][0] if number + 1 < len(cut) else len(pcm)
        first = max(start - margin, min(before, start), 0)
        await stream.append(UtteranceId(number), pcm[first : min(end + margin, max(behind, end))])
        await stream.commit(UtteranceId(number))
    if cut:
        async for event in stream.events():
            if isinstance(event, TextCompleted):
                texts[event.utterance] = event.text
                if len(texts) == len(cut):
                    break
    await stream.close()
    return [texts[number] for number in range(len(cut))]


def diarization_error(spoken: list[Interval], reference: list[dict[str, object]], length: int) -> tuple[float, ...]:
    """Missed, false and confused speech as shares of the speech, without a collar, in frames of 10 ms."""
    frames = length // 160 + 1
    people = sorted({str(r["speaker"]) for r in reference})
    labels = sorted({label for _, _, label in spoken})
    said, told = np.zeros((len(people), frames), bool), np.zeros((len(labels), frames), bool)
    for r in reference:
        said[people.index(str(r["speaker"])), int(float(str(r["start"])) * 100) : int(float(str(r["end"])) * 100)] = (
            True
        )
    for start, end, label in spoken:
        told[labels.index(label), start // 160 : end // 160] = True
    both = said.astype(int) @ told.T.astype(int)
    if both.shape[0] > both.shape[1]:
        both = both.T
    best = max(
        (sum(both[i, j] for i, j in enumerate(order)) for order in permutations(range(both.shape[1]), both.shape[0])),
        default=0,
    )
    n_said, n_told = said.sum(axis=0), told.sum(axis=0)
    total = n_said.sum()
    missed, false = np.maximum(n_said - n_told, 0).sum(), np.maximum(n_told - n_said, 0).sum()
    confused = np.minimum(n_said, n_told).sum() - best
    return missed / total, false / total, confused / total


def words(text: str) -> str:
    return re.sub(r"[^a-z0-9' ]", "", text.lower().replace("-", " ")).strip()


def by_speaker(rows: list[tuple[str, str]]) -> dict[str, str]:
    result: dict[str, list[str]] = {}
    for speaker, text in rows:
        result.setdefault(speaker, []).append(words(text))
    return {speaker: " ".join(texts) for speaker, texts in result.items()}


def memory_mb(pid: int) -> tuple[float, float]:
    """Peak resident and present proportional memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    shares = Path(f"/proc/{pid}/smaps_rollup").read_text()
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    share = re.search(r"^Pss:\s+(\d+)", shares, re.MULTILINE)
    assert peak
    assert share
    return int(peak[1]) / 1024, int(share[1]) / 1024


async def bench(path: Path) -> None:
    pcm, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE_HZ
    assert pcm.ndim == 1
    reference = json.loads(path.with_suffix(".json").read_text())["segments"]
    engine = LocalEngine()
    diarizer, transcriber = LocalDiarizer(engine), LocalTranscriber(engine)
    stream = await diarizer.open()
    begun = time.monotonic()
    heard = await diarize(stream, pcm)
    diarized_s = time.monotonic() - begun
    spoken = intervals(heard.events)
    cut = turns(spoken)
    begun = time.monotonic()
    texts = await transcribe(transcriber, pcm, cut)
    transcribed_s = time.monotonic() - begun
    assert engine.worker_pid is not None
    peak, share = memory_mb(engine.worker_pid)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await engine.close()
    length_s = len(pcm) / RATE_HZ
    missed, false, confused = diarization_error(spoken, reference, len(pcm))
    print(f"{path.name}: {length_s:.1f} s, {len(cut)} turns, {len({label for _, _, label in cut})} speakers")
    print(f"  events {dict(Counter(type(event).__name__ for event in heard.events))}")
    print(f"  diarization error {missed + false + confused:.1%} (missed {missed:.1%}, false {false:.1%}, "
          f"confused {confused:.1%})")  # fmt: skip
    if any(r["text"] for r in reference):
        said = by_speaker([(r["speaker"], r["text"]) for r in reference])
        told = by_speaker([(label, text) for (_, _, label), text in zip(cut, texts, strict=True)])
        score = meeteval.wer.cp_word_error_rate(said, told)
        print(f"  cpWER {score.error_rate:.1%} ({score.errors} of {score.length} words)")
    p50, p99 = np.percentile(heard.lags_s, [50, 99])
    print(f"  event lag in audio: median {p50:.2f} s, 99th percentile {p99:.2f} s")
    print(f"  of real time: diarization {diarized_s / length_s:.3f}, texts {transcribed_s / length_s:.3f}; "
          f"longest step {max(heard.waits_s):.2f} s")  # fmt: skip
    print(f"  worker: peak {peak:.0f} MB, proportional share {share:.0f} MB; this process: peak {own:.0f} MB")


if __name__ == "__main__":
    for name in sys.argv[1:] or [str(STANDUP)]:
        asyncio.run(bench(Path(name)))
