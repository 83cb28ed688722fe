"""A recording as it would be if its head told the truth: what libsndfile is given instead of the file itself."""

import os
import struct

from minuted_daemon.adapters.capture.recordings.extent import Extent
from minuted_daemon.adapters.capture.recordings.headers import Layout

_LARGEST = 0xFFFF_FF00
_LARGEST_HEAD = 1 << 24


class MendedFile:
    """A file object for reading, made of a head of its own and of the bytes [start, end) of a descriptor.

    size: of the whole. Never raises while it is read: the library could not pass that on. What went wrong stands in
    `error`.
    """

    def __init__(self, descriptor: int, head: bytes, start: int, end: int) -> None:
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._head = head
        self._start = start
        self.size = len(head) + end - start
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See io.IOBase."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """See io.IOBase."""
        return self._at

    def read(self, count: int = -1) -> bytes:
        """See io.IOBase."""
        left = max(0, self.size - self._at)
        count = left if count < 0 else min(count, left)
        data = self._head[self._at : self._at + count]
        rest = count - len(data)
        if rest:
            try:
                data += os.pread(self._descriptor, rest, self._start + self._at + len(data) - len(self._head))
            except OSError as error:
                self.error = error
        self._at += len(data)
        return data


def mended_head(known: Layout, found: Extent, descriptor: int) -> bytes:
    """Return the bytes in front of the audio, with lengths that hold.

    Raises ValueError if there are too many of them.
    """
    length = found.end - found.start
    if known.kind == "WAV":
        return _wav_head(known, length)
    if known.body > _LARGEST_HEAD:
        raise ValueError("the head is longer than any recorder writes it")
    head = bytearray(os.pread(descriptor, known.body, 0))
    for at, field, more in known.lengths:
        largest = (1 << 8 * field.size) - 1 if field.format[-1:] in "IQ" else (1 << 63) - 1
        field.pack_into(head, at, min(length + more, largest))
    return bytes(head)


def _wav_head(known: Layout, length: int) -> bytes:
    """What describes the samples stands in one chunk; none of the others is needed to decode them."""
    order = ">" if known.big_endian else "<"
    form = b"fmt " + struct.pack(f"{order}I", len(known.format)) + known.format + b"\0" * (len(known.format) % 2)
    if length <= _LARGEST or known.big_endian:
        shown = min(length, _LARGEST)
        name = b"RIFX" if known.big_endian else b"RIFF"
        whole = 4 + len(form) + 8 + shown
        return name + struct.pack(f"{order}I", whole) + b"WAVE" + form + b"data" + struct.pack(f"{order}I", shown)
    long = b"ds64" + struct.pack("<IQQQI", 28, 4 + 36 + len(form) + 8 + length, length, 0, 0)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + long + form + b"data" + b"\xff" * 4
