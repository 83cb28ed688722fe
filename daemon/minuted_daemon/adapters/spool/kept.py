"""A session's audio for good: one FLAC file, 24 kHz mono, in which a sample's place is its time in the session.

What the spool did not hold is digital silence. A file is made under another name and takes its own once it is complete
and on the disk. Blocks on the disk; belongs to a thread.
"""

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.disk import sync_directory
from minuted_daemon.adapters.spool.flac import LEVEL, SUBTYPE
from minuted_daemon.adapters.spool.segment import PART, Sync, destroy, put_in_place_of
from minuted_daemon.core.samples import WIDE_RATE_HZ, wide

PIECE_S = 20
SUFFIX = ".flac"


def kept_path(directory: Path, session_id: str) -> Path:
    """Where a session's audio is kept."""
    return directory / f"{session_id}{SUFFIX}"


class KeptFile:
    """A FLAC file in the making. Raises OSError from every step; then call `abandon`."""

    def __init__(self, path: Path, sync: Sync) -> None:
        """Begin, over whatever an earlier attempt left."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._part = path.with_suffix(PART)
        self._sync = sync
        self._frames = 0
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
        with _as_os_error(self._out):
            self._file.close()
        self._sync(self._out)
        os.close(self._out)
        self._out = -1
        self._check()
        if self._path.exists():
            put_in_place_of(self._path, self._part, self._sync)
        else:
            self._part.replace(self._path)
            sync_directory(self._path.parent)

    def abandon(self) -> None:
        """Remove what was made so far. May be called again, and behind `finish`."""
        with contextlib.suppress(OSError, soundfile.SoundFileError, AssertionError):
            self._file.close()
        if self._out >= 0:
            os.close(self._out)
            self._out = -1
        with contextlib.suppress(OSError):
            self._part.unlink()

    def _check(self) -> None:
        """The encoder does not tell what it could not write when it is closed."""
        with _as_os_error(None), soundfile.SoundFile(self._part) as written:
            if written.frames != self._frames:
                raise OSError(f"holds {written.frames} of {self._frames} frames")
            written.seek(max(0, self._frames - 1))
            if len(written.read(1, dtype="int16")) != 1:
                raise OSError("its last frame cannot be read")


def erasing(path: Path, start: int, end: int, sync: Sync) -> Generator[None, None, None]:
    """Make a kept file anew with [start, end) silent, a step at a time; exhaust it. Raises OSError from any step.

    The old bytes are overwritten. What cannot be read of the file becomes silence too; if that is all of it, the file
    is overwritten and removed: it may hold the stretch. Left early (`close()`), nothing has changed.
    """
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        return
    with raw:
        try:
            with _source(raw) as source:
                frames = source.frames
        except soundfile.SoundFileError:
            destroy(path, sync)
            return
        fresh = KeptFile(path, sync)
        low, high = wide(start), wide(end)
        try:
            for at in range(0, frames, PIECE_S * WIDE_RATE_HZ):
                pcm = _piece(raw, at, min(PIECE_S * WIDE_RATE_HZ, frames - at))
                pcm[max(0, low - at) : max(0, high - at)] = 0
                fresh.add(pcm)
                yield
            fresh.finish()
        finally:
            fresh.abandon()


def _source(raw: BinaryIO) -> soundfile.SoundFile:
    raw.seek(0)
    return soundfile.SoundFile(raw.fileno(), closefd=False)


def _piece(raw: BinaryIO, at: int, count: int) -> NDArray[np.int16]:
    """Give what can be read. The decoder is a new one each time: once it has met damage, it finds nothing more."""
    piece = np.zeros(count, np.int16)
    with contextlib.suppress(soundfile.SoundFileError), _source(raw) as source:
        source.seek(at)
        read = source.read(count, dtype="int16")
        piece[: len(read)] = read
    return piece


@contextlib.contextmanager
def _as_os_error(file: int | None) -> Iterator[None]:
    """The library tells neither which error the system gave, nor always that there was one; ask the system again."""
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as error:
        if file is not None:
            os.write(file, bytes(4096))
        raise OSError("the FLAC encoder failed") from error
