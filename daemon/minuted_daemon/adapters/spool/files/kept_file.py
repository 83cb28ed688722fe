"""A session's audio for good: one FLAC file, 24 kHz mono, in which a sample's place is its time in the session.

What the spool did not hold is digital silence. A file is made under another name and takes its own once it is complete
and on the disk. Blocks on the disk; belongs to a thread.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.disk import sync_directory
from minuted_daemon.adapters.spool.files.flac import LEVEL, SUBTYPE
from minuted_daemon.adapters.spool.files.flac_salvage import described, stretches
from minuted_daemon.adapters.spool.files.segment import PART, Sync, destroy, overwrite, put_in_place_of
from minuted_daemon.core.samples import WIDE_RATE_HZ, wide

PIECE_S = 20
SUFFIX = ".flac"
CHUNK = 1 << 19
"""Bytes read at a time: about twenty seconds of speech."""
UNREADABLE = 1 << 16
"""Bytes skipped where the disk cannot read."""
STEP_BYTES = 8_000_000
"""Bytes, about, that are written or overwritten in one step: others use the disk in between."""


def kept_path(directory: Path, session_id: str) -> Path:
    """Where a session's audio is kept."""
    return directory / f"{session_id}{SUFFIX}"


class KeptFile:
    """A FLAC file in the making. Raises OSError from every step; then call `abandon`."""

    def __init__(self, path: Path, sync: Sync, step_bytes: int = STEP_BYTES) -> None:
        """Begin, over whatever an earlier attempt left."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._part = path.with_suffix(PART)
        self._sync = sync
        self._step_bytes = step_bytes
        self._frames = 0
        self._synced = 0
        self._out = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with _as_os_error(self._out):
                self._file = soundfile.SoundFile(
                    self._out,
                    "w",
                    WIDE_RATE_HZ,
                    channels=1,
                    format="FLAC",
                    subtype=SUBTYPE,
                    closefd=False,
                    compression_level=LEVEL,
                )
        except OSError:
            os.close(self._out)
            raise

    def add(self, wide_pcm: NDArray[np.int16]) -> None:
        """Put the next samples (24 kHz) at the end."""
        with _as_os_error(self._out):
            self._file.write(wide_pcm)
        self._frames += len(wide_pcm)

    def finish(self) -> None:
        """Give the file its name. An older one of that name is overwritten, byte for byte, and gone."""
        self._complete()
        if self._path.exists():
            put_in_place_of(self._path, self._part, self._sync)
        else:
            self._part.replace(self._path)
            sync_directory(self._path.parent)

    def sync(self) -> None:
        """Have the disk take what was added, once it is much: then little is left for the end."""
        size = os.fstat(self._out).st_size
        if size - self._synced >= self._step_bytes:
            self._sync(self._out)
            self._synced = size

    def replace(self) -> Iterator[None]:
        """Take the older file's name as `finish` does, a step at a time.

        If the older one was removed meanwhile, there is to be none. Left early, it is overwritten all the same.
        """
        self._complete()
        yield
        try:
            old = self._path.open("r+b", buffering=0)
        except FileNotFoundError:
            return
        with old:
            self._part.replace(self._path)
            sync_directory(self._path.parent)
            yield from _overwriting(old.fileno(), self._sync, self._step_bytes)

    def abandon(self) -> None:
        """Remove what was made so far. May be called again, and after `finish`."""
        with contextlib.suppress(OSError, soundfile.SoundFileError, AssertionError):
            self._file.close()
        if self._out >= 0:
            os.close(self._out)
            self._out = -1
        with contextlib.suppress(OSError):
            self._part.unlink()

    def _complete(self) -> None:
        """Have all of it on the disk."""
        with _as_os_error(self._out):
            self._file.close()
        self._sync(self._out)
        os.close(self._out)
        self._out = -1
        self._check()

    def _check(self) -> None:
        """Check the length: closing the encoder does not report what it could not write."""
        with _as_os_error(None), soundfile.SoundFile(self._part) as written:
            if written.frames != self._frames:
                raise OSError(f"holds {written.frames} of {self._frames} frames")
            written.seek(max(0, self._frames - 1))
            if len(written.read(1, dtype="int16")) != 1:
                raise OSError("its last frame cannot be read")


def remove(path: Path) -> None:
    """Remove a kept file, and what was made of one that was to take its place. Raises OSError."""
    for each in (path, path.with_suffix(PART)):
        each.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        sync_directory(path.parent)


def erasing(path: Path, start: int, end: int, sync: Sync, step_bytes: int = STEP_BYTES) -> Generator[None, None, None]:
    """Rewrite a kept file with [start, end) silent, a step at a time; exhaust it. Raises OSError from any step.

    A step takes a part of a second, whatever the file is like, unless it waits for the disk. The old bytes are
    overwritten. What cannot be read of the file becomes silence too; if that is all of it, the file is overwritten and
    removed: it may hold the stretch. A file that is removed meanwhile stays so. Left early (`close()`), nothing has
    changed, or all is done.
    """
    try:
        raw = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with raw:
        read = chunks(partial(os.pread, raw.fileno()))
        first = next(read, b"")
        stream = described(first, os.fstat(raw.fileno()).st_size)
        if stream is None:
            destroy(path, sync)
            return
        fresh = KeptFile(path, sync, step_bytes)
        low, high = wide(start), wide(end)
        try:
            for at, pcm in _filled(stretches(stream, chain([first], read)), stream.length):
                pcm[max(0, low - at) : max(0, high - at)] = 0
                fresh.add(pcm)
                fresh.sync()
                yield
            yield from fresh.replace()
        finally:
            fresh.abandon()


def chunks(read: Callable[[int, int], bytes]) -> Iterator[bytes]:
    """Return a file's bytes; `read` returns so many from an offset on. Bytes that the disk has lost are zeros."""
    at = 0
    while True:
        try:
            chunk = read(CHUNK, at)
        except OSError as fault:
            if fault.errno != errno.EIO:
                raise
            chunk = bytes(UNREADABLE)
        if not chunk:
            return
        at += len(chunk)
        yield chunk


def _filled(found: Iterable[tuple[int, NDArray[np.int16]]], length: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Return all samples up to `length`, with silence where nothing was found, a piece at a time."""
    at = 0
    for place, pcm in chain(found, [(length, np.zeros(0, np.int16))]):
        for low in range(at, place, PIECE_S * WIDE_RATE_HZ):
            yield low, np.zeros(min(PIECE_S * WIDE_RATE_HZ, place - low), np.int16)
        yield place, pcm
        at = place + len(pcm)


def _overwriting(file: int, sync: Sync, step_bytes: int) -> Iterator[None]:
    """Overwrite a file a step at a time; left early, what is left of it goes in one step."""
    size, done = os.fstat(file).st_size, 0
    try:
        while done < size:
            overwrite(file, done, min(done + step_bytes, size))
            sync(file)
            done += step_bytes
            yield
    except GeneratorExit:
        overwrite(file, done, size)
        sync(file)
        raise


@contextlib.contextmanager
def _as_os_error(file: int | None) -> Iterator[None]:
    """Raise OSError: the library reports no errno, and sometimes no error; ask the system again."""
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as error:
        if file is not None:
            os.write(file, bytes(4096))
        raise OSError("the FLAC encoder failed") from error
