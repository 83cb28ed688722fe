"""The offline engine's worker process as the daemon runs it: its memory, its processor time, the daemon's event loop.

A recording is fed in real time and with partials; what is sent to the recognizer is what the merge sent before.
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.diarizer import LocalDiarizer, LocalDiarizerStream
from minuted_daemon.adapters.local.transcriber import LocalTranscriber, LocalTranscriberStream
from minuted_daemon.adapters.local.worker_client import LocalEngine
from minuted_daemon.core.events import TextCompleted, UtteranceId
from minuted_daemon.core.samples import BLOCK, RATE_HZ

BEAT_S = 0.01
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Figures:
    """`busy` is processor time as a share of one core; `longest_step_s` how long the daemon's loop did not turn."""

    peak_mb: float = 0.0
    busy: float = 0.0
    longest_backlog_s: float = 0.0
    longest_step_s: float = 0.0
    answered: int = 0


async def measure(pcm: NDArray[np.int16], sent: Mapping[int, Sequence[tuple[int, int]]], hold_back: int) -> Figures:
    """Run the worker over a recording in real time. sent: the audio of each utterance, `hold_back` samples late."""
    engine = LocalEngine()
    diarizer, transcriber = await LocalDiarizer(engine).open(), await LocalTranscriber(engine).open(["en"])
    pid = engine.worker_pid
    assert pid is not None
    figures = Figures()
    before_s, began_s = _processor_s(pid), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(_drain(diarizer)), tasks.create_task(_count(transcriber, len(sent), figures))]
        beat = tasks.create_task(_beat(figures))
        await _feed(pcm, sent, hold_back, diarizer, transcriber, figures)
        await diarizer.finish()
        for other in others:
            await other
        beat.cancel()
    figures.busy = (_processor_s(pid) - before_s) / (time.monotonic() - began_s)
    figures.peak_mb = _peak_mb(pid)
    await transcriber.close()
    await diarizer.close()
    await engine.close()
    return figures


async def _feed(
    pcm: NDArray[np.int16],
    sent: Mapping[int, Sequence[tuple[int, int]]],
    hold_back: int,
    diarizer: LocalDiarizerStream,
    transcriber: LocalTranscriberStream,
    figures: Figures,
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    pieces = sorted(
        (at, utterance, min(at + BLOCK, end))
        for utterance, ranges in sent.items()
        for start, end in ranges
        for at in range(start, end, BLOCK)
    )
    ends = {utterance: ranges[-1][1] for utterance, ranges in sent.items()}
    for start in range(0, len(pcm) - BLOCK + 1, BLOCK):
        await asyncio.sleep(began + (start + BLOCK) / RATE_HZ - loop.time())
        await diarizer.send(pcm[start : start + BLOCK])
        figures.longest_backlog_s = max(figures.longest_backlog_s, diarizer.backlog_s)
        heard = start + BLOCK if start + 2 * BLOCK <= len(pcm) else len(pcm) + hold_back + BLOCK
        while pieces and pieces[0][0] + BLOCK + hold_back <= heard:
            low, utterance, high = pieces.pop(0)
            await transcriber.append(UtteranceId(utterance), pcm[low:high])
            if high == ends[utterance]:
                await transcriber.commit(UtteranceId(utterance))


async def _drain(diarizer: LocalDiarizerStream) -> None:
    async for _ in diarizer.events():
        pass


async def _count(transcriber: LocalTranscriberStream, wanted: int, figures: Figures) -> None:
    async for event in transcriber.events():
        figures.answered += isinstance(event, TextCompleted)
        if figures.answered == wanted:
            return


async def _beat(figures: Figures) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(BEAT_S)
        figures.longest_step_s = max(figures.longest_step_s, loop.time() - began - BEAT_S)


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _peak_mb(pid: int) -> float:
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert peak
    return int(peak[1]) / 1024
