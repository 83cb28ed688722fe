"""Opening a recording: what it is, and who decodes it. Everything here blocks and is for a thread."""

import contextlib
import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minuted_daemon.adapters.capture.recordings.decoding.decoder import Decoder
from minuted_daemon.adapters.capture.recordings.decoding.plain_decoder import PlainDecoder, UnreadableError
from minuted_daemon.adapters.capture.recordings.decoding.process_decoder import (
    Limits,
    UndecodableError,
    by_ffmpeg,
    by_libsndfile,
)
from minuted_daemon.adapters.capture.recordings.extent import Extent, extent
from minuted_daemon.adapters.capture.recordings.headers import Bytes, Layout, is_plain_container, layout
from minuted_daemon.adapters.capture.recordings.sandbox import why_hidden
from minuted_daemon.errors import Invalid

_RATES_HZ = range(1_000, 768_001)
_MOST_CHANNELS = 64
_HEAD = 64
_LIBSNDFILE_MAGICS = (
    b"OggS",
    b"ID3",
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"FORM",
    b"caff",
    b"riff",
    b".snd",
    b"Creative",
    b"NIST",
)
_MOST_ATOMS = 1_000
CONVERT = "convert it with: ffmpeg -i IN OUT.flac"
_NEEDS_FFMPEG = (
    "is not WAV, FLAC, MP3, Ogg, AIFF, CAF, W64 or AU, as far as that can be read: install the Debian package ffmpeg, "
    "with which others are read"
)


@dataclass(frozen=True, slots=True)
class Decoders:
    """What may be used. `ffmpeg`: the program's path, None for the one that is installed, empty for none."""

    ffmpeg: str | None = None
    limits: Limits = Limits()  # noqa: RUF009  frozen

    @property
    def program(self) -> str | None:
        """The path of ffmpeg, None without one. One without its ffprobe beside it is of no use."""
        found = shutil.which("ffmpeg") if self.ffmpeg is None else self.ffmpeg
        return found if found and Path(found).with_name("ffprobe").exists() else None


def open_recording(path: str, decoders: Decoders) -> Decoder:
    """Open a recording by its absolute path.

    Raises Invalid (FILE_NOT_FOUND, FILE_UNREADABLE, FILE_EMPTY, FILE_NOT_AUDIO, FILE_TRUNCATED).
    """
    descriptor = _descriptor(path)
    try:
        decoder = _decoder(path, descriptor, decoders)
    finally:
        os.close(descriptor)
    if decoder.rate_hz not in _RATES_HZ or not 1 <= decoder.channels <= _MOST_CHANNELS:
        decoder.close()
        what = f"has {decoder.channels} channels at {decoder.rate_hz} Hz, which cannot be right"
        raise refusal("FILE_NOT_AUDIO", path, what)
    return decoder


def refusal(reason: str, path: str, what: str) -> Invalid:
    """Return the error that says what is wrong with a file."""
    return Invalid(reason, f"{path} {what}", path=path)


def _descriptor(path: str) -> int:
    """Open the file for reading, if it is one. Never waits for a writer, as opening a FIFO would."""
    if not Path(path).is_absolute():
        raise refusal("FILE_UNREADABLE", path, "is not an absolute path; write it out from /")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise refusal("FILE_NOT_FOUND", path, why_hidden(path) or "does not exist") from error
    except PermissionError as error:
        what = why_hidden(path, denied=True) or "may not be read by the daemon's user; change its permissions"
        raise refusal("FILE_UNREADABLE", path, what) from error
    except (OSError, ValueError) as error:
        what = os.strerror(error.errno or errno.EINVAL) if isinstance(error, OSError) else "not a path"
        raise refusal("FILE_UNREADABLE", path, f"cannot be opened: {what}") from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise refusal("FILE_UNREADABLE", path, "is a directory; name a recording in it")
        if not stat.S_ISREG(status.st_mode):
            raise refusal("FILE_UNREADABLE", path, "is not a regular file; give a recording, such as WAV or FLAC")
        if status.st_size == 0:
            raise refusal("FILE_EMPTY", path, "is empty")
        os.pread(descriptor, 1, 0)
    except OSError as error:
        os.close(descriptor)
        what = f"cannot be read: {os.strerror(error.errno or errno.EIO)}"
        raise refusal("FILE_UNREADABLE", path, what) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _decoder(path: str, descriptor: int, decoders: Decoders) -> Decoder:
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, _HEAD, 0)

    def read(at: int, count: int) -> bytes:
        return os.pread(descriptor, count, at)

    is_plain = is_plain_container(head)
    known = layout(read, size) if is_plain else None
    found = None
    if known is not None and known.plain:
        found = extent(known, read, size)
        if found.end <= found.start:
            raise _cut(path, "it ends before its audio") if found.missing else _empty(path)
    if found is not None or head[:4] == b"fLaC":
        decoder = _plain(descriptor, known if found is not None else None, found)
        if decoder is not None and decoder.is_empty():
            decoder.close()
            raise _empty(path)
        if decoder is not None:
            return decoder
    elif is_plain and known is None and _ends_in_its_head(head, size):
        raise _cut(path, "it ends before its audio")
    elif _lacks_index(read, head, size):
        raise _cut(path, "the index, which recorders write last, is missing")
    return _coded(path, descriptor, head, decoders)


def _plain(descriptor: int, known: Layout | None, found: Extent | None) -> PlainDecoder | None:
    try:
        return PlainDecoder(descriptor, known, found)
    except UnreadableError:
        return None


def _coded(path: str, descriptor: int, head: bytes, decoders: Decoders) -> Decoder:
    """Have another process decode it: libsndfile, which is always there, or else ffmpeg."""
    try:
        if head.startswith(_LIBSNDFILE_MAGICS) or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
            with contextlib.suppress(UndecodableError):
                return by_libsndfile(descriptor, decoders.limits)
        program = decoders.program
        if program is None:
            raise refusal("FILE_NOT_AUDIO", path, f"{_NEEDS_FFMPEG}, or {CONVERT}")
        return by_ffmpeg(program, descriptor, decoders.limits)
    except UndecodableError as error:
        if error.silent:
            raise _empty(path) from error
        what = f"is no recording that can be read; copy it again, or {CONVERT}"
        raise refusal("FILE_NOT_AUDIO", path, what) from error
    except OSError as error:
        what = f"cannot be decoded: {os.strerror(error.errno or errno.EIO)}"
        raise refusal("FILE_UNREADABLE", path, what) from error


def _ends_in_its_head(head: bytes, size: int) -> bool:
    """Whether a file whose audio was not found is shorter than its first chunk says."""
    if len(head) < 12:
        return True
    order: Literal["big", "little"] = "big" if head[:4] in (b"FORM", b"RIFX") else "little"
    return head[:4] in (b"caff", b"riff") or 8 + int.from_bytes(head[4:8], order) > size


def _lacks_index(read: Bytes, head: bytes, size: int) -> bool:
    """Whether an MP4 file ends before the atom without which nothing of it can be decoded."""
    if head[4:8] != b"ftyp":
        return False
    at = 0
    for _ in range(_MOST_ATOMS):
        atom = read(at, 16)
        if len(atom) < 8:
            return True
        if atom[4:8] in (b"moov", b"moof"):
            return False
        length = int.from_bytes(atom[:4], "big")
        if length == 1:
            length = int.from_bytes(atom[8:16], "big")
        if length < 8:
            return length == 0 or at >= size
        at += length
    return False


def _empty(path: str) -> Invalid:
    return refusal("FILE_EMPTY", path, "holds no audio")


def _cut(path: str, why: str) -> Invalid:
    return refusal("FILE_TRUNCATED", path, f"is cut short: {why}; copy it again")
