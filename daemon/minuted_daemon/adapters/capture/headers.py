"""What the head of a recording promises.

libsndfile plays a WAV that was cut short without a word; a session on it would end early and look complete, so the
promise is checked against the size of the file first.
"""

import os
import struct

_UNKNOWN_SIZES = frozenset({0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFFE, 0xFFFFFFFE})
"""What writers put where they cannot know the length (pipes)."""
_FIRST_BYTES = 12


def is_audio(head: bytes) -> bool:
    """Whether a file with these first 12 bytes claims to be WAV or FLAC (behind an ID3 tag, possibly)."""
    return is_wav(head) or head[:4] == b"fLaC" or head[:3] == b"ID3"


def is_wav(head: bytes) -> bool:
    """Whether a file with these first 12 bytes claims to be WAV."""
    return head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE"


def missing_bytes(descriptor: int, size: int) -> int:
    """Give how many bytes a WAV promises, in its data chunk or before it, beyond the end of the file (0: none)."""
    head = os.pread(descriptor, _FIRST_BYTES, 0)
    order = ">" if head[:4] == b"RIFX" else "<"
    position, long_size = _FIRST_BYTES, 0
    while position + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", os.pread(descriptor, 8, position))
        position += 8
        if name == b"ds64" and length >= 16:
            long_size = int(struct.unpack("<8xQ", os.pread(descriptor, 16, position))[0])
        if name == b"data":
            if length in _UNKNOWN_SIZES:
                length = long_size
            return int(max(0, position + length - size))
        position += length + length % 2
    (whole,) = struct.unpack(f"{order}4xI", head[:8])
    return int(max(0, 8 + whole - size)) if whole not in _UNKNOWN_SIZES else 0
