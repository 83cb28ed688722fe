"""What tests do with a stream from a device: take blocks, wait for a change, and look for what must not be left."""

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.records import Health
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, CaptureStream, Filled

RAMP = 32_768


async def take(stream: CaptureStream, count: int) -> list[AudioBlock]:
    """Take that many blocks, leaving out health."""
    blocks: list[AudioBlock] = []
    async for item in stream:
        if isinstance(item, AudioBlock):
            blocks.append(item)
            if len(blocks) == count:
                break
    return blocks


async def take_until(stream: CaptureStream, health: Health) -> tuple[list[AudioBlock], CaptureHealth]:
    """Take blocks up to a change of health."""
    blocks: list[AudioBlock] = []
    async for item in stream:
        if isinstance(item, CaptureHealth):
            if item.health is health:
                return blocks, item
        else:
            blocks.append(item)
    raise AssertionError("the stream ended")


def workers_of(parent: int) -> list[int]:
    """The capture workers of a process that hold a device, or are about to; zombies are another matter."""
    return [pid for pid in _processes_of(parent) if not _is_only_ready(pid)]


def ready_of(parent: int) -> list[int]:
    """The workers of a process that were started in a pause and touch nothing until its end."""
    return [pid for pid in _processes_of(parent) if _is_only_ready(pid)]


def _is_only_ready(worker: int) -> bool:
    try:
        later = (Path(f"/proc/{worker}/cmdline")).read_bytes().endswith(b"\0later\0")
        return later and "libportaudio" not in Path(f"/proc/{worker}/maps").read_text()
    except OSError:
        return False


def _processes_of(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == parent and status[0] != "Z" and b"capture.worker" in command:
            found.append(int(folder.name))
    return found


@asynccontextmanager
async def responsive_loop() -> AsyncIterator[list[float]]:
    """Check that the event loop is never held up by 100 ms (but for a single hiccup of the machine).

    Time in which the thread could have run and other programs had the processors does not count. Gives all delays, in
    seconds, as they are measured; a failure tells what the loop was at.
    """
    late: list[float] = [0.0]
    last_beat_s = time.monotonic()
    over = threading.Event()
    seen_at: deque[str] = deque(maxlen=10)
    loop_thread = threading.get_ident()

    async def beat() -> None:
        nonlocal last_beat_s
        while True:
            last_beat_s, kept_waiting_s = time.monotonic(), _kept_waiting_s()
            await asyncio.sleep(0.02)
            late.append(time.monotonic() - last_beat_s - 0.02 - (_kept_waiting_s() - kept_waiting_s))

    def look() -> None:
        looked_s = 0.0
        while not over.wait(0.01):
            beat_s = last_beat_s
            if beat_s != looked_s and time.monotonic() - beat_s > 0.09:
                looked_s = beat_s
                seen_at.append("".join(traceback.format_stack(sys._current_frames()[loop_thread])[-3:]))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(beat())
            yield late
            task.cancel()
    finally:
        over.set()
        looking.join()
    assert sorted(late)[-2:][0] < 0.1, "\n".join(seen_at)


def _kept_waiting_s() -> float:
    """How long this thread has waited for a processor."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def assert_ramp(samples: Sequence[NDArray[np.int16]], step: int) -> None:
    """Every sample of the device's ramp is there: it rises by `step`, but for where it starts anew."""
    heard = np.concatenate(samples).astype(np.int64)
    ideal = heard[200] + step * (np.arange(len(heard)) - 200)
    clear = (ideal % RAMP > 100 * step) & (ideal % RAMP < RAMP - 100 * step)
    clear[:100] = False
    off = (heard - ideal)[clear] % RAMP
    assert np.minimum(off, RAMP - off).max() <= 2
    assert clear.sum() > 0.8 * len(heard)


def zombies_of(parent: int) -> list[int]:
    """The children of a process that have ended and were not waited for."""
    children = [child for path in Path(f"/proc/{parent}/task").glob("*/children") for child in path.read_text().split()]
    states = {child: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children}
    return [int(child) for child, state in states.items() if state == "Z"]


def pitch_hz(block: AudioBlock) -> int:
    """The strongest tone in a block, to 500 Hz: a player that stumbles blurs it; 0 where there is nothing to hear."""
    if np.abs(block.pcm.astype(int)).max() < 500:
        return 0
    strongest = int(np.argmax(np.abs(np.fft.rfft(block.pcm * np.hanning(len(block.pcm))))))
    return round(strongest * 10 / 500) * 500


def whole(reason: str) -> tuple[Filled, ...]:
    """What `filled` says of a block of which nothing was heard."""
    return (Filled(0, 1600, reason),)
