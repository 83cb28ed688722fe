"""The frames of a FLAC file, found one by one: what damage left of it, each sample in its place.

A decoder that is told to seek in a damaged file may search for a minute, and after damage it no longer knows where it
is. But each frame of a FLAC stream tells its number, and each can be decoded alone. So the file is gone through once,
from its first byte to its last; what is no whole frame is passed over. Nothing here touches a disk.

Source: RFC 9639, sections 8.2 and 9.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.flac import unpacked
from minuted_daemon.core.samples import WIDE_RATE_HZ

HEAD = 42
"""Bytes of the marker and of the block that describes the stream."""
RUN = 64
"""Frames that are decoded in one go: about eleven seconds."""
_MARKER = b"fLaC\x80\x00\x00\x22"
_LAST_BLOCK = 0x80
_FORMAT = WIDE_RATE_HZ << 12 | 0 << 9 | 15 << 4
"""As the stream's description has it: the rate, channels less one, bits less one, and room for 4 bits of the length."""
_SYNC = b"\xff\xf8"
_RATE_CODE, _MONO_16_BITS = 7, 8
_BLOCK_CODES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}
_SMALLEST = 11
"""Bytes of the smallest frame there is: silence, in a stream of less than 128 frames."""
_AROUND = 32
"""Bytes that a frame is larger at most than its samples."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a file says of itself: samples in all but its last frame, and samples altogether."""

    block: int
    length: int

    @property
    def longest(self) -> int:
        """Bytes of a frame at most."""
        return 2 * self.block + _AROUND


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame by its header: where it begins in the bytes at hand, its first sample and how many it has."""

    offset: int
    place: int
    count: int


def described(head: bytes, size: int) -> Stream | None:
    """Return what the first bytes of a file of `size` bytes tell; None if it is no 24 kHz mono 16-bit FLAC file."""
    if len(head) < HEAD or bytes([head[0], head[1], head[2], head[3], head[4] | _LAST_BLOCK, *head[5:8]]) != _MARKER:
        return None
    block, largest = int.from_bytes(head[8:10]), int.from_bytes(head[10:12])
    form = int.from_bytes(head[18:26])
    if form >> 36 << 4 != _FORMAT or block != largest or block < 16:
        return None
    # A length that no file of this size can have is damage too; silence for months would be made of it.
    length = min(form & (1 << 36) - 1, size // _SMALLEST * block)
    return Stream(block, length) if length else None


def stretches(stream: Stream, chunks: Iterable[bytes]) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Return what can be decoded of a file that comes in chunks: position and samples at 24 kHz, in rising order.

    What lies between two of them cannot be read. An empty one comes with each chunk: the work between two of them has a
    bound, whatever is in the file.
    """
    done = 0
    data = b""
    for chunk in chain(chunks, [None]):
        yield done, np.zeros(0, np.int16)
        data += chunk or b""
        # Behind this a frame may not be whole yet.
        edge = len(data) if chunk is None else max(0, len(data) - stream.longest)
        for run in _runs(stream, _frames(stream, data, edge)):
            # A stretch of the file that was written twice tells nothing new.
            for place, pcm in _decoded(stream, data, [frame for frame in run if frame.place >= done]):
                done = place + len(pcm)
                yield place, pcm
        data = data[edge:]


def _frames(stream: Stream, data: bytes, edge: int) -> Iterator[_Frame]:
    """Return the frames that begin before `edge`."""
    at = data.find(_SYNC, 0, edge + 1)
    while 0 <= at < edge:
        frame = _frame(stream, data, at)
        if frame is not None:
            yield frame
        at = data.find(_SYNC, at + 1, edge + 1)


def _frame(stream: Stream, data: bytes, at: int) -> _Frame | None:
    """Read the header that may begin here: a sync code, four fields, a number, perhaps a size, a checksum."""
    header = data[at : at + 16]
    if len(header) < 6 or header[2] & 15 != _RATE_CODE or header[3] != _MONO_16_BITS:
        return None
    ones = 8 - (header[4] ^ 0xFF).bit_length()  # leading ones tell how many bytes the number has
    end = 4 + max(1, ones)
    number = header[4] & 0x7F >> ones
    for byte in header[5:end]:
        number = number << 6 | byte & 0x3F
    code = header[2] >> 4
    more = code - 5 if code in (6, 7) else 0
    count = int.from_bytes(header[end : end + more]) + 1 if more else _BLOCK_CODES.get(code, 0)
    end += more
    place = number * stream.block
    if len(header) <= end or _crc8(header[:end]) != header[end]:
        return None
    if not 0 < count <= stream.block or place + count > stream.length:
        return None
    return _Frame(at, place, count)


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x107 if crc & 0x80 else 0)) & 0xFF
    return crc


def _runs(stream: Stream, frames: Iterable[_Frame]) -> Iterator[list[_Frame]]:
    """Group frames that follow each other, in time and in the file."""
    run: list[_Frame] = []
    for frame in frames:
        if run and (
            len(run) == RUN
            or frame.place != run[-1].place + run[-1].count
            or frame.offset > run[-1].offset + stream.longest
        ):
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


def _decoded(stream: Stream, data: bytes, run: list[_Frame]) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Return all of a run, or what can be decoded of its frames when each is alone."""
    if not run:
        return
    count = sum(frame.count for frame in run)
    piece = data[run[0].offset : run[-1].offset + stream.longest]
    try:
        yield run[0].place, unpacked(_head(stream.block, count) + piece, count)
    except ValueError:
        for frame in run if len(run) > 1 else ():
            yield from _decoded(stream, data, [frame])


def _head(block: int, length: int) -> bytes:
    """Make the head of a stream of so many samples; frame sizes and checksum are given as not known."""
    blocks = block.to_bytes(2) * 2
    return _MARKER + blocks + bytes(6) + (_FORMAT << 32 | length).to_bytes(8) + bytes(16)
