"""A meeting that a real device hears, and what the daemon tells of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import numpy as np
import soxr
from numpy.typing import NDArray

from minuted import AsyncClient, Interrupted, Interval, LinkHealth, Turn
from tests.fakes.meeting import RATE_HZ, load_meeting

ROOM = load_meeting("ES2011d", 1039.5, 26)
DEVICE_HZ = 48_000
WELL = (LinkHealth.LINK_HEALTH_UP,)


def recording() -> NDArray[np.int16]:
    sound = ROOM.sound(0, ROOM.duration).astype(np.float32)
    resampled: NDArray[np.float32] = soxr.resample(sound, RATE_HZ, DEVICE_HZ)
    return np.clip(np.rint(resampled), -32768, 32767).astype(np.int16)


def of(interval: Interval) -> tuple[float, float]:
    return interval.start_offset.ToNanoseconds() / 1e9, interval.end_offset.ToNanoseconds() / 1e9


@asynccontextmanager
async def watching(client: AsyncClient) -> AsyncIterator[dict[str, Interval]]:
    """Return the intervals as they are told, each at its latest state."""
    seen: dict[str, Interval] = {}

    async def watch() -> None:
        async with aclosing(client.watch(after=0)) as stream:
            async for event in stream:
                if not isinstance(event, Interrupted) and event.HasField("interval"):
                    seen[event.interval.id] = event.interval

    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch())
        yield seen
        task.cancel()


async def up(client: AsyncClient, session: str) -> float:
    """Wait until all links are up; give the time."""
    async with asyncio.timeout(30):
        while True:
            told = await client.session(session)
            links = (told.capture_link, told.diarizer_link, told.transcriber_link)
            if all(link.health in WELL for link in links):
                return time.monotonic()
            await asyncio.sleep(0.02)


def begin_of_meeting_s(turns: Sequence[Turn]) -> float:
    """Where the meeting lies on the session's clock: from the turns, whose words say where in the meeting they are."""
    shifts = [
        turn.start_offset.ToNanoseconds() / 1e9 - ROOM.by_text[turn.text.split()[0]].start / RATE_HZ for turn in turns
    ]
    return float(np.median(shifts))
