"""From the event loop to the disk: audio waits in memory until it is written, a few blocks at a time.

At most one write of a session is under way; audio that comes meanwhile goes into the next one. Rule for full: when the
disk does not keep up, the oldest audio in memory is lost. The audio itself is the clock: a write is due after so many
blocks, and tried again after so many.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import structlog

from minuted_daemon.adapters.spool.faults import SPOOL_FAILED, SPOOL_STALLED, as_store_error, stalled
from minuted_daemon.adapters.spool.files.segment import Segment
from minuted_daemon.adapters.spool.files.session_files import Heard
from minuted_daemon.adapters.spool.recent_audio import RecentAudio
from minuted_daemon.core.ranges import Span, without
from minuted_daemon.core.records import Health, Link
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.ports.spool import Loss

BATCH_BLOCKS = 4
"""A write is due after so many blocks: with the disk's own time, what a power cut takes stays well below 1 s."""
MOST_BLOCKS = 100
"""Blocks in one write at most, when the disk has to catch up."""
RECENT_BLOCKS = samples(30.0) // BLOCK
"""Blocks of the newest audio that stay in memory after they are written: most reads need only these (2.4 MB)."""
WAITING_BLOCKS = samples(300.0) // BLOCK
"""Blocks that may wait in memory for a disk that takes nothing (24 MB)."""
RETRY = samples(2.0)
"""Samples that must come after a failed write before the next one."""
STALLED = samples(5.0)
"""More than this heard during one write means that the disk takes nothing at present."""
SPOOL_MEMORY_FULL = "SPOOL_MEMORY_FULL"

UP = Link(Health.UP)


class Destination(Protocol):
    """Where audio is written to. All of it is called on the event loop."""

    @property
    def where(self) -> str:
        """The directory that an error names."""
        ...

    def write(self, blocks: Sequence[Heard], /) -> "asyncio.Future[Segment]":
        """Begin to write blocks, in order; the future's result is what was added to a segment."""
        ...

    def written(self, added: Segment, spans: tuple[Span, ...], /) -> None:
        """Take note of a write that is done, as far as `spans` reaches."""
        ...

    def write_ended(self) -> None:
        """Called after each write, done or failed, and after `written`."""
        ...


class WriteQueue:
    """A session's newest audio, and its way to the disk. `end` is one past the newest sample."""

    def __init__(
        self, begin: Sample, released: Sample, destination: Destination, log: structlog.stdlib.BoundLogger
    ) -> None:
        self.recent = RecentAudio(begin)
        self.end = begin
        self.released = released
        self.keep_audio = False
        self.health = UP
        self._destination = destination
        self._log = log
        self._written_to = begin
        self._lost_to = Sample(0)
        self._losses: list[Loss] = []
        self._writing: asyncio.Future[Segment] | None = None
        self._retry_at = Sample(0)
        self._hurry_to = begin
        self._began_at = begin

    @property
    def is_writing(self) -> bool:
        """Whether a write is under way."""
        return self._writing is not None

    @property
    def waiting(self) -> int:
        """Samples that are not on the disk yet."""
        return self.recent.count_since(self._written_to) * BLOCK

    def put(self, block: AudioBlock) -> None:
        """Take the next block."""
        self.end = self.recent.put(self.end, block.wall_s, block.pcm, block.wide).end
        self._trim()
        if self.waiting >= BATCH_BLOCKS * BLOCK:
            self._write_when_due()

    def write_out(self) -> None:
        """Write all that waits now, without waiting for more."""
        self._hurry_to = self.end
        self._write()

    async def settle(self, limit_s: float) -> None:
        """Wait until no write is under way, at most so long."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=limit_s)

    async def flush(self, limit_s: float) -> None:
        """Wait until all that is in memory now is on the disk. Raises StoreError if the disk does not take it."""
        target = self.end
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                while self.waiting and self._written_to < target:
                    self._write()
                    if self._writing is not None:
                        await asyncio.wait({self._writing})
                        if self.health.health is Health.DOWN:
                            raise StoreError(self.health.reason, self.health.detail)
        except TimeoutError as error:
            raise stalled(limit_s) from error

    def forget(self) -> None:
        """Drop everything; nothing counts as lost, because nothing is needed."""
        self.recent = RecentAudio(self.end)
        self._written_to = self.end

    def lose(self, start: Sample, end: Sample, reason: str) -> None:
        """Record audio that is lost."""
        last = self._losses[-1] if self._losses else None
        if last is not None and last.end == start and last.reason == reason:
            self._losses[-1] = Loss(last.start, end, reason)
        else:
            self._losses.append(Loss(start, end, reason))

    def take_losses(self) -> list[Loss]:
        """Return what was lost since the last call, in the order it happened."""
        losses, self._losses = self._losses, []
        return losses

    def _wants(self, block: Heard) -> bool:
        return self.keep_audio or block.end > self.released

    def _trim(self) -> None:
        """Drop what memory need not hold, and beyond its bound also what it should."""
        while len(self.recent) > RECENT_BLOCKS:
            oldest = self.recent.oldest
            if oldest.start >= self._written_to and self._wants(oldest):
                if len(self.recent) <= WAITING_BLOCKS:
                    return
                self._lost_to = oldest.end
                if oldest.end > self.released:
                    self.lose(oldest.start, oldest.end, SPOOL_MEMORY_FULL)
            self.recent.drop_oldest()

    def _write_when_due(self) -> None:
        if self._writing is None and self.end >= self._retry_at:
            self._write()
        elif self.health == UP and self._writing is not None and self.end - self._began_at > STALLED:
            self._set_health(Link(Health.DOWN, SPOOL_STALLED, "the disk takes no audio at present"))

    def _write(self) -> None:
        """Begin a write, unless one is under way or nothing waits."""
        if self._writing is not None:
            return
        batch = self.recent.since(self._written_to, MOST_BLOCKS)
        if not batch:
            return
        wanted = [block for block in batch if self._wants(block)]
        if not wanted:
            self._written_to = batch[-1].end
            return
        self._began_at = self.end
        self._writing = self._destination.write(wanted)
        self._writing.add_done_callback(partial(self._written, batch[-1].end))

    def _written(self, to: Sample, write: "asyncio.Future[Segment]") -> None:
        self._writing = None
        fault = write.exception()
        if fault is None:
            added = write.result()
            self._written_to = to
            self._set_health(UP)
            # What was given up while it was being written stays lost: it has been reported.
            self._destination.written(added, without(added.spans, [(0, self._lost_to)]))
        else:
            self._retry_at = Sample(self.end + RETRY)
            error = self._as_error(fault)
            self._set_health(Link(Health.DOWN, error.reason, error.message))
        self._trim()
        self._destination.write_ended()
        if fault is None and (self.waiting >= BATCH_BLOCKS * BLOCK or self._written_to < self._hurry_to):
            self._write()

    def _as_error(self, fault: BaseException) -> StoreError:
        if isinstance(fault, StoreError):
            return fault
        if isinstance(fault, OSError):
            return as_store_error(fault, self._destination.where)
        self._log.error("spool_write_failed", exc_info=fault)
        return StoreError(SPOOL_FAILED, "writing audio met an internal fault; see the daemon's log")

    def _set_health(self, health: Link) -> None:
        if (health.health, health.reason) != (self.health.health, self.health.reason):
            level = self._log.info if health.health is Health.UP else self._log.warning
            level("spool_health_changed", health=health.health.value, reason=health.reason)
        self.health = health
