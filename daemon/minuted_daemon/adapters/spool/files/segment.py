"""One file of a session's spool: written at its end only, removed as a whole. Blocks on the disk; belongs to a thread.

Everything here raises OSError as it comes; the caller knows what it means.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from minuted_daemon.adapters.disk import sync_directory
from minuted_daemon.adapters.spool.files.record import AudioRecord, Flaw, recorded, scan
from minuted_daemon.core.ranges import Span, joined, outside
from minuted_daemon.core.samples import RATE_HZ, Sample, wide

SEGMENT = 20 * RATE_HZ
"""Samples after which a file is full: short enough to be removed soon, long enough that a day is 4,320 files."""
SUFFIX = ".seg"
PART = ".part"
"""Ends the name of a file that is not to be read: its writing was cut short."""
ZEROS = bytes(65_536)

Sync = Callable[[int], None]
"""Has the disk keep what was written to a descriptor; os.fdatasync but for tests."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of a file: the audio in it, its size in bytes and the wall time of its last record."""

    serial: int
    spans: tuple[Span, ...]
    size: int
    wall_s: float

    @property
    def start(self) -> int:
        """The first sample in it."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """One past the last sample in it."""
        return self.spans[-1][1]


def path_of(directory: Path, serial: int) -> Path:
    """Where a session keeps its segment of that number."""
    return directory / f"{serial:08d}{SUFFIX}"


def described(serial: int, records: list[AudioRecord]) -> Segment | None:
    """Return the segment that holds exactly these, None if that is nothing."""
    if not records:
        return None
    spans = joined((record.start, record.end) for record in records)
    return Segment(serial, spans, sum(record.size for record in records), records[-1].wall_s)


class SegmentFile:
    """A new file, open for writing. Every `append` that returns is on the disk; without one there is no file."""

    def __init__(self, directory: Path, serial: int, sync: Sync) -> None:
        """Make the file; it must not exist."""
        self.serial = serial
        self._path = path_of(directory, serial)
        self.size = 0
        self.length = 0
        self._sync = sync
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            sync_directory(directory)
        except OSError:
            self.close()
            raise

    @property
    def full(self) -> bool:
        """Whether the next record should begin another file."""
        return self.length >= SEGMENT

    def append(self, records: list[AudioRecord]) -> None:
        """Write the records. After an OSError the file holds what it held before, and is closed."""
        data = b"".join(record.encode() for record in records)
        try:
            write_all(self._file, data)
            self._sync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            self.close()
            raise
        self.size += len(data)
        self.length += sum(record.end - record.start for record in records)

    def close(self) -> None:
        """Let go of the file. May be called again."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1
            if not self.size:
                with contextlib.suppress(OSError):
                    self._path.unlink()


def erase_from(directory: Path, serial: int, start: int, end: int, sync: Sync) -> Segment | None:
    """Have no byte of [start, end) left in a closed segment; both ends must be even. Return what remains of it.

    The rest goes into a new file that takes the old one's place; then the old bytes are overwritten where they are, so
    that they are not even in the disk's free space (where the file system overwrites in place). Bytes that are no good
    record go too: who knows what they hold. Without space for a new file, all records that [start, end) touches go.
    """
    path = path_of(directory, serial)
    try:
        held = list(scan(path.read_bytes()))
    except FileNotFoundError:
        return None
    whole: list[AudioRecord] = []
    cut: list[AudioRecord] = []
    for record in held:
        if isinstance(record, Flaw):
            continue
        if record.end <= start or record.start >= end:
            whole.append(record)
        else:
            cut += _remains(record, start, end)
    kept = sorted(whole + cut, key=lambda record: record.start)
    if not kept:
        destroy(path, sync)
        return None
    try:
        _replace(path, kept, sync)
    except OSError:
        with contextlib.suppress(OSError):
            path.with_suffix(PART).unlink()
        _blank(path, [(record.offset, record.offset + record.size) for record in whole], sync)
        rest = described(serial, whole)
        return rest and replace(rest, size=path.stat().st_size)
    return described(serial, kept)


def _remains(record: AudioRecord, start: int, end: int) -> list[AudioRecord]:
    try:
        pcm = record.audio()
    except ValueError:
        return []
    origin = wide(record.start)
    return [
        recorded(
            Sample(low), record.wall_s + (low - record.start) / RATE_HZ, pcm[wide(low) - origin : wide(high) - origin]
        )
        for low, high in outside(record.start, record.end, [(start, end)])
    ]


def _replace(path: Path, records: list[AudioRecord], sync: Sync) -> None:
    fresh = path.with_suffix(PART)
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(file, b"".join(record.encode() for record in records))
        sync(file)
    finally:
        os.close(file)
    put_in_place_of(path, fresh, sync)


def put_in_place_of(path: Path, fresh: Path, sync: Sync) -> None:
    """Return a finished file the name of an old one, and overwrite the old one's bytes."""
    old = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        fresh.replace(path)
        sync_directory(path.parent)
        overwrite(old, 0, os.fstat(old).st_size)
        sync(old)
    finally:
        os.close(old)


def destroy(path: Path, sync: Sync) -> None:
    """Overwrite a file, then remove it."""
    _blank(path, [], sync)
    path.unlink()
    sync_directory(path.parent)


def _blank(path: Path, spared: list[Span], sync: Sync) -> None:
    """Overwrite all but these bytes with zeros, in place."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for low, high in outside(0, os.fstat(file).st_size, spared):
            overwrite(file, low, high)
        sync(file)
    finally:
        os.close(file)


def overwrite(file: int, low: int, high: int) -> None:
    """Put zeros over the bytes [low, high)."""
    while low < high:
        low += os.pwrite(file, ZEROS[: high - low], low)


def write_all(file: int, data: bytes) -> None:
    """Write at the file's position, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
