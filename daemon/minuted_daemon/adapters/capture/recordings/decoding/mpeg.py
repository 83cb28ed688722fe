"""The info frame of MPEG audio: how much there should be of it, and what in front of it is no sound. No I/O.

Source: the Xing header, and LAME's extension of it.
"""

import struct
from dataclasses import dataclass

from minuted_daemon.adapters.capture.recordings.headers import Bytes

_LOOKED_AT = 4_096
_NAMES = (b"Xing", b"Info")
_COUNTS_FRAMES = 1
_ALL_FIELDS = 15
_DELAY_AT = 141
_DECODER_DELAY = 529
_MOST_TAGS = 8


@dataclass(frozen=True, slots=True)
class Info:
    """at, length: the bytes that make the first frame an info frame. frames: how many samples are promised, if told.

    skip: how many samples at the beginning are those of the info frame and of the encoder.
    """

    at: int
    length: int
    frames: int | None
    skip: int


def info_of(read: Bytes) -> Info | None:
    """Return what the first frame tells about all, None where it is an ordinary one."""
    at = 0
    for _ in range(_MOST_TAGS):
        head = read(at, 10)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if head[5] & 0x10 else 0)
    begin = read(at, _LOOKED_AT)
    first = next((n for n in range(len(begin) - 1) if begin[n] == 0xFF and begin[n + 1] & 0xE0 == 0xE0), None)
    if first is None:
        return None
    places = [first + side + 4 for side in (32, 17, 9)]
    place = next((place for place in places if begin[place : place + 4] in _NAMES), None)
    if place is None or len(begin) < place + _DELAY_AT + 3:
        return None
    samples = 1_152 if begin[first + 1] & 0x18 == 0x18 else 576
    flags, count = struct.unpack_from(">II", begin, place + 4)
    packed = int.from_bytes(begin[place + _DELAY_AT : place + _DELAY_AT + 3], "big")
    delay, padding = (packed >> 12, packed & 0xFFF) if flags & _ALL_FIELDS == _ALL_FIELDS and packed else (0, 0)
    frames = max(0, count * samples - delay - padding) if flags & _COUNTS_FRAMES and count else None
    return Info(at + place, 4, frames, samples + (delay + _DECODER_DELAY if delay else 0))
