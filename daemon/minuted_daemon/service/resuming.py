"""Sessions that go on after the daemon was away: from what is stored and what lies in the spool."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from minuted_daemon.core.merger import Resumption
from minuted_daemon.core.records import SessionRecord, WallPoint
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample
from minuted_daemon.ports import AudioBlock, CaptureHealth, CaptureStream, Spool, Store

AWAY = "DAEMON_AWAY"
"""The reason of the gap that the daemon's absence leaves."""
REPLAY_BLOCKS = 20
"""So many blocks are looked at again before others get their turn: some milliseconds."""

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Resumed:
    """`heard`: the session's sample clock goes on behind it. `points`: the map from samples to wall time so far."""

    merge: Resumption
    heard: Sample
    points: Sequence[WallPoint]


async def resumed(record: SessionRecord, store: Store, spool: Spool | None) -> Resumed:
    """Give what a session goes on from. Raises StoreError, NotFound (SESSION_NOT_FOUND)."""
    stored = await store.resume_point(record.id)
    # Without audio nothing can be made up for: the session goes on behind all that is stored of it.
    heard = begin = Sample(-(-max(stored.end, record.heard) // BLOCK) * BLOCK)
    if spool is not None and spool.end > spool.begin:
        begin, heard = Sample(spool.begin // BLOCK * BLOCK), spool.end
    past = [turn for turn in await _stretches(record, store) if turn[1] > begin]
    speakers = max((int(speaker.label[1:]) for speaker in stored.speakers), default=0)
    merge = Resumption(begin, past, speakers, stored.generation or 0)
    return Resumed(merge, heard, await store.wall_points(record.id))


async def _stretches(record: SessionRecord, store: Store) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    token: str | None = None
    while True:
        page = await store.turns(record.id, _PAGE, token)
        found += [(stored.turn.start, stored.turn.end) for stored in page.items]
        token = page.next_token
        if token is None:
            return found


async def replayed(spool: Spool, begin: Sample, end: Sample) -> AsyncIterator[tuple[Sample, AudioBlock]]:
    """Give the audio of [begin, end) once more, block by block, with the position of each. Raises StoreError."""
    for start in range(begin, end, REPLAY_BLOCKS * BLOCK):
        until = min(start + REPLAY_BLOCKS * BLOCK, end)
        pcm = (await spool.read(Sample(start), Sample(until), RATE_HZ)).pcm
        for at in range(start, until, BLOCK):
            block = pcm[at - start : at - start + BLOCK]
            yield Sample(at), AudioBlock(block, block, 0.0)
        await asyncio.sleep(0)


class OpenedLater:
    """A CaptureStream whose source is opened when it is listened to: a daemon that starts does not wait for devices.

    Iterating raises what opening raises.
    """

    def __init__(self, opening: Callable[[], Coroutine[Any, Any, CaptureStream]], paused: bool) -> None:
        """`paused`: nothing is to be heard until `resume`."""
        self._opening = opening
        self._stream: CaptureStream | None = None
        self._paused, self._closed = paused, False

    async def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth]:
        stream = await self._opening()
        self._stream = stream
        try:
            if self._paused:
                await stream.pause()
            if not self._closed:
                async for item in stream:
                    yield item
        finally:
            await stream.close()

    async def pause(self) -> None:
        """See ports.CaptureStream."""
        self._paused = True
        if self._stream is not None:
            await self._stream.pause()

    async def resume(self) -> None:
        """See ports.CaptureStream."""
        self._paused = False
        if self._stream is not None:
            await self._stream.resume()

    async def close(self) -> None:
        """See ports.CaptureStream."""
        self._closed = True
        if self._stream is not None:
            await self._stream.close()


class NoMore:
    """A CaptureStream of a session that was ending: all that it will ever hear lies in the spool."""

    async def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth]:
        return
        yield  # makes this an iterator

    async def pause(self) -> None:
        """There is nothing to pause."""

    async def resume(self) -> None:
        """There is nothing to resume."""

    async def close(self) -> None:
        """There is nothing to release."""
