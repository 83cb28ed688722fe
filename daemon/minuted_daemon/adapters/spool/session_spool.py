"""One session's spool, as the event loop sees it: what is held, how it is read, and how it ends.

The loop owns all that is known here; files are touched only by the writing thread (files/session_files.py) and
the reading thread (files/segment_reader.py, files/kept_file.py), and what they did comes back as a result. How audio
gets to the disk is in write_queue.py; bounds over all sessions are in spools.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog

from minuted_daemon.adapters.spool.disk_thread import DiskThread
from minuted_daemon.adapters.spool.faults import as_store_error
from minuted_daemon.adapters.spool.files.kept_file import PIECE_S, KeptFile
from minuted_daemon.adapters.spool.files.notes_file import read as read_notes
from minuted_daemon.adapters.spool.files.recovery import Recovered
from minuted_daemon.adapters.spool.files.segment import Segment, Sync
from minuted_daemon.adapters.spool.files.segment_reader import SegmentReader
from minuted_daemon.adapters.spool.files.session_files import Heard, SessionFiles
from minuted_daemon.adapters.spool.notes_queue import NotesQueue
from minuted_daemon.adapters.spool.segment_index import Held, SegmentIndex
from minuted_daemon.adapters.spool.write_queue import WriteQueue
from minuted_daemon.core.ranges import Span, joined, within, without
from minuted_daemon.core.records import Link
from minuted_daemon.core.samples import RATE_HZ, WIDE_RATE_HZ, Sample, samples, wide
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.ports.spool import Loss, Note, Retained

T = TypeVar("T")

DISK_LIMIT_S = 10.0
"""How long reading, erasing and removing wait for the disk, each step of it."""
LONGEST_READ = 120 * RATE_HZ


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session's audio is, and what a spool shares with all others. `now_s` is the monotonic clock."""

    directory: Path
    kept: Path
    writing: DiskThread
    reading: DiskThread
    now_s: Callable[[], float]
    sync: Sync


class _SpoolDirectory:
    """The destination of the session's write queue: its files, and the index of what they hold."""

    def __init__(self, place: Place, files: SessionFiles, index: SegmentIndex, changed: Callable[[], None]) -> None:
        self._place = place
        self._files = files
        self._index = index
        self._changed = changed

    @property
    def where(self) -> str:
        return str(self._place.directory.parent)

    def write(self, blocks: Sequence[Heard]) -> "asyncio.Future[Segment]":
        return self._place.writing.submit(partial(self._files.write, blocks))

    def written(self, added: Segment, spans: tuple[Span, ...]) -> None:
        self._index.add(added, spans, self._place.now_s())

    def write_ended(self) -> None:
        self._changed()


class SessionSpool:
    """A session's audio, from `begin` to `end`, until it is released; and all of it, where it is kept.

    `append`, `skip`, `note` and `release` never wait and never fail. `changed` is called after each write of audio,
    done or failed.
    """

    def __init__(
        self,
        place: Place,
        recovered: Recovered,
        held: Sequence[Held],
        changed: "Callable[[SessionSpool], None]",
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self.recovered = recovered
        self._place = place
        self._log = log
        self._index = SegmentIndex(held)
        self._erased = recovered.erased
        self.files = SessionFiles(place.directory, recovered.next_serial, place.sync)
        self._reader = SegmentReader(place.directory)
        self.queue = WriteQueue(
            recovered.end,
            Sample(recovered.good[0][0] if recovered.good else 0),
            _SpoolDirectory(place, self.files, self._index, partial(changed, self)),
            log,
        )
        self._notes_queue = NotesQueue(
            lambda notes: place.writing.submit(partial(self.files.note, notes, self.queue.released)), log
        )
        # Keeping, erasing and removing would otherwise copy what is being erased, or remove what is being kept.
        self._gate = asyncio.Lock()
        self._ending = False
        self._shed_to = Sample(0)

    # --- what the session does ----------------------------------------------------------------------------------------

    @property
    def begin(self) -> Sample:
        """The oldest sample still held, or `end`. After it there may be holes."""
        oldest = [Sample(held.segment.start) for held in self._index.held[:1]]
        if len(self.queue.recent):
            oldest.append(self.queue.recent.oldest.start)
        return min(max(min(oldest, default=self.end), self.queue.released, self._shed_to), self.end)

    @property
    def end(self) -> Sample:
        """One past the newest sample."""
        return self.queue.end

    @property
    def health(self) -> Link:
        """UP, or why the disk takes no audio at present: it waits in memory then, the last five minutes of it."""
        return self.queue.health

    @property
    def waiting(self) -> int:
        """Samples that are only in memory so far."""
        return self.queue.waiting

    @property
    def keep_audio(self) -> bool:
        """Whether `finish` makes a FLAC file of all that was heard."""
        return self.queue.keep_audio

    @keep_audio.setter
    def keep_audio(self, keep: bool) -> None:
        self.queue.keep_audio = keep

    def append(self, block: AudioBlock) -> None:
        """Take the next block; none once `finish` or `discard` was called."""
        if not self._ending:
            self.queue.put(block)

    def skip(self, to: Sample) -> None:
        """Go on at a later position: nothing was heard in between. What was heard before is written out.

        Raises ValueError for a position before `end`, or an odd one, which is between two samples at 24 kHz.
        """
        if to < self.end or to % 2:
            raise ValueError(f"audio cannot go on at {to}, before {self.end}")
        self.queue.end = to
        self.queue.write_out()

    def note(self, note: Note) -> None:
        """Keep a note beside the audio; none once `finish` or `discard` was called. It may be lost with the disk's."""
        if not self._ending:
            self._notes_queue.put(note)

    async def notes(self) -> Sequence[Note]:
        """Return the notes on the disk, in the order in which they came. Raises StoreError."""
        try:
            return await self._place.reading.call(partial(read_notes, self._place.directory), DISK_LIMIT_S)
        except OSError as error:
            raise as_store_error(error, str(self._place.directory.parent)) from error

    def holes(self, start: Sample, end: Sample) -> Sequence[Span]:
        """Return the stretches of [start, end) that are not held, as far as that is known without reading."""
        on_disk = (span for segment in self._index.over(start, end) for span in segment.spans)
        held = joined((*on_disk, *self.queue.recent.held(start, end)))
        return without([(start, end)], without(held, self._erased))

    async def read(self, start: Sample, end: Sample, rate_hz: int) -> Retained:
        """Return [start, end), two minutes at most, at 16 or 24 kHz. Recent audio comes at once, older from the disk.

        Never fails for what the disk has lost; that is in `holes`. Raises StoreError (SPOOL_STALLED, SPOOL_CLOSED).
        """
        if rate_hz not in (RATE_HZ, WIDE_RATE_HZ) or not 0 <= end - start <= LONGEST_READ:
            raise ValueError(f"a spool cannot read {end - start} samples at {rate_hz} Hz")

        def place(position: int) -> int:
            return position - start if rate_hz == RATE_HZ else wide(position) - wide(start)

        out = np.zeros(place(end), np.int16)
        edge = min(end, max(start, self.queue.recent.begin))
        # Memory first: while the disk is waited for, this much may leave it.
        found = self.queue.recent.copy_into(out[place(edge) :], edge, end, rate_hz)
        older = self._index.over(start, edge)
        if older:
            load = partial(self._reader.load, older, start, edge, rate_hz)
            loaded = await self._place.reading.call(load, DISK_LIMIT_S)
            out[: len(loaded.pcm)] = loaded.pcm
            found = joined((*loaded.found, *found))
            if loaded.fault is not None:
                self._log.warning("spool_unreadable", errno=loaded.fault.errno, samples=edge - start)
        for low, high in within(start, end, self._erased):
            out[place(low) : place(high)] = 0
        return Retained(out, without([(start, end)], without(found, self._erased)))

    def release(self, before: Sample) -> None:
        """Audio before this position is no longer needed; it leaves the disk a segment at a time, unless kept."""
        if before <= self.queue.released:
            return
        self.queue.released = before
        held = self._index.held
        if not self.keep_audio and held and held[0].segment.end <= before:
            self._remove([held for held in held if held.segment.end <= before])

    def take_losses(self) -> list[Loss]:
        """Return what was needed and lost since the last call, in the order it happened."""
        return self.queue.take_losses()

    async def flush(self, limit_s: float) -> None:
        """Wait until all that was heard so far is on the disk.

        Raises StoreError if the disk does not take it, now or within the limit; it goes on being tried.
        """
        await self.queue.flush(limit_s)

    async def erase(self, start: Sample, end: Sample) -> None:
        """Have no sample of [start, end) left, nor a note about it: not in memory, nor in the files or where they were.

        From the first moment on nothing of it is read any more. Raises StoreError; then ask again. Should the daemon
        end in the middle, the next start goes on.
        """
        low, high = max(0, start - start % 2), min(end + end % 2, self.end)
        if low >= high:
            return
        self._erased = joined((*self._erased, (low, high)))
        self.queue.recent.blank(low, high)
        self._notes_queue.forget(low, high)
        async with self._gate:
            await self.queue.settle(DISK_LIMIT_S)
            if self._index.over(low, high) or self.queue.is_writing:
                await self._on_disk(partial(self.files.note_erased, low, high))
            await self._erase(low, high)
            await self._place.reading.call(self._reader.forget, DISK_LIMIT_S)
        self._log.info("spool_erased", samples=high - low)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def finish(self) -> tuple[Span, ...] | None:
        """Nothing is needed any more: keep the audio, if that is wanted, and remove the spool.

        Return the stretches that the kept file lacks, None if there is none. Raise StoreError; then the spool is as it
        was, and this may be asked again, in this life of the daemon or the next.
        """
        async with self._gate:
            await self.queue.flush(DISK_LIMIT_S)
            self._ending = True
            try:
                lacks = await self._keep() if self.keep_audio and self._index.held else None
                await self._discard()
            except BaseException:
                self._ending = False
                raise
        return lacks

    async def discard(self) -> None:
        """Remove the spool, needed or not. Raises StoreError."""
        async with self._gate:
            self._ending = True
            await self._discard()

    async def _discard(self) -> None:
        await self.queue.settle(DISK_LIMIT_S)
        await self._on_disk(self.files.discard)
        self._index.clear()
        self.queue.forget()

    async def _keep(self) -> tuple[Span, ...]:
        """Make the file a piece at a time, so that the reading thread serves others in between."""
        reading, sync, end = self._place.reading, self._place.sync, self.end
        file: KeptFile | None = None
        found: tuple[Span, ...] = ()
        try:
            file = await reading.call(partial(KeptFile, self._place.kept, sync), DISK_LIMIT_S)
            for at in range(0, end, samples(PIECE_S)):
                stop = min(at + samples(PIECE_S), end)
                copy = partial(_copy, file, self._reader, self._index.over(at, stop), at, stop)
                found = joined((*found, *(await reading.call(copy, DISK_LIMIT_S))))
            await reading.call(file.finish, 6 * DISK_LIMIT_S)
        except OSError as error:
            raise as_store_error(error, str(self._place.kept.parent)) from error
        finally:
            if file is not None:
                reading.submit(file.abandon)
        return without([(0, end)], found)

    # --- what all sessions' spools do with this one -------------------------------------------------------------------

    @property
    def held(self) -> Sequence[Held]:
        """What is on the disk, oldest first."""
        return self._index.held

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._index.size

    def is_needed(self, held: Held) -> bool:
        """Whether the segment is more than kept for good."""
        return held.segment.end > self.queue.released

    def shed(self, held: Held, reason: str) -> bool:
        """Drop the oldest segment, needed or not; what is lost by that is in `take_losses`.

        Returns False if it cannot go now.
        """
        if not self._remove([held]):
            return False
        # Memory may still have some of it for a while; what was reported lost is not reported held again.
        self._shed_to = Sample(max(self._shed_to, held.segment.end))
        for low, high in within(self.queue.released, self.end, held.segment.spans):
            self.queue.lose(Sample(low), Sample(high), reason)
        return True

    def tend(self) -> None:
        """Do what needs no new audio: write what waits, drop what was released while it was being written."""
        self.queue.write_out()
        if not self.keep_audio:
            self._remove([held for held in self._index.held if not self.is_needed(held)])

    async def go_on_erasing(self) -> None:
        """Erase what is still in the files although it was to go: a crash came between. Raises StoreError."""
        for low, high in self._erased:
            await self._erase(low, high)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _remove(self, going: Sequence[Held]) -> bool:
        """Remove segments, except one that is being written to. Return whether any was removed."""
        if self.queue.is_writing:
            going = [held for held in going if held is not self._index.held[-1]]
        if not going:
            return False
        removal = self._place.writing.submit(partial(self.files.remove, self._index.remove(going)))
        removal.add_done_callback(self._removed)
        return True

    def _removed(self, removal: "asyncio.Future[None]") -> None:
        fault = removal.exception()
        if fault is not None:
            # The next start finds it again; until then it is not counted.
            self._log.warning("spool_not_removed", error=type(fault).__name__)

    async def _erase(self, low: int, high: int) -> None:
        await self._on_disk(partial(self.files.erase_notes, low, high))
        for segment in self._index.over(low, high):
            left = await self._on_disk(partial(self.files.erase, segment.serial, low, high))
            self._index.replace(segment.serial, left)

    async def _on_disk(self, act: Callable[[], T]) -> T:
        try:
            return await self._place.writing.call(act, DISK_LIMIT_S)
        except OSError as error:
            raise as_store_error(error, str(self._place.directory.parent)) from error


def _copy(file: KeptFile, reader: SegmentReader, segments: Sequence[Segment], start: int, end: int) -> tuple[Span, ...]:
    """Raises OSError, from reading as well: a file that cannot be read now may be later."""
    loaded = reader.load(segments, start, end, WIDE_RATE_HZ)
    if loaded.fault is not None:
        raise loaded.fault
    file.add(loaded.pcm)
    return loaded.found
