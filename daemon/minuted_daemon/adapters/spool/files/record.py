"""The format of a spool's files: records one after another, each complete in itself. Pure: bytes in, records out.

A record is a header and a FLAC stream. The header: magic (4 bytes), length of the stream in bytes (u32), position of
the first sample (i64) and number of samples (u32) at 16 kHz, wall time of the first sample (f64, seconds since 1970),
CRC-32 of the stream (u32), CRC-32 of the header up to here (u32); little-endian. There is no file header that could be
lost, and no length that is trusted before its checksum fits. To change the format, change the magic.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files import flac
from minuted_daemon.core.samples import RATE_HZ, Sample, wide

MAGIC = b"\xabmS1"
_FIELDS = struct.Struct("<4sIqIdI")
_CHECK = struct.Struct("<I")
HEADER = _FIELDS.size + _CHECK.size
LONGEST = 10 * RATE_HZ
"""Samples in one record at most."""
LARGEST = 1_000_000
"""Bytes of FLAC in one record at most: ten seconds that cannot be packed take half of it."""


@dataclass(frozen=True, slots=True)
class AudioRecord:
    """A stretch of audio. `offset` and `size` place it in its file, header and all; `payload` is the FLAC stream."""

    start: Sample
    end: Sample
    wall_s: float
    payload: bytes
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return HEADER + len(self.payload)

    def encode(self) -> bytes:
        """Return the record as it stands in a file."""
        fields = _FIELDS.pack(
            MAGIC, len(self.payload), self.start, self.end - self.start, self.wall_s, zlib.crc32(self.payload)
        )
        return fields + _CHECK.pack(zlib.crc32(fields)) + self.payload

    def audio(self) -> NDArray[np.int16]:
        """Return the samples, at 24 kHz.

        Raises ValueError if the stream, its checksum notwithstanding, is not FLAC of that length.
        """
        return flac.unpacked(self.payload, wide(self.end) - wide(self.start))


def recorded(start: Sample, wall_s: float, wide_pcm: NDArray[np.int16]) -> AudioRecord:
    """Make a record of audio at 24 kHz. `start` must be even, so that both rates have a sample there."""
    count = len(wide_pcm) * 2 // 3
    if start % 2 or start < 0 or not 0 < count <= LONGEST or wide(count) != len(wide_pcm):
        raise ValueError(f"a record cannot hold {len(wide_pcm)} samples from {start} on")
    return AudioRecord(start, Sample(start + count), wall_s, flac.packed(wide_pcm))


class Damage(Enum):
    """What is wrong with a stretch of a file, or with all of it."""

    TORN = "torn"  # a record that the file ends in
    CHECKSUM = "checksum"  # a record whose audio is not what was written
    ZEROS = "zeros"  # space that was allotted and never written
    GARBAGE = "garbage"  # no record at all
    DUPLICATE = "duplicate"  # audio that an earlier record holds already
    UNREADABLE = "unreadable"  # the disk does not give the file back


@dataclass(frozen=True, slots=True)
class Flaw:
    """Bytes [offset, offset + size) of a file are not to be trusted. [start, end) is the audio there, where known."""

    damage: Damage
    offset: int
    size: int
    start: Sample | None = None
    end: Sample | None = None


def scan(data: bytes) -> Iterator[AudioRecord | Flaw]:
    """Return all that a file holds, in order, each byte of it once. Never raises, whatever the bytes are."""
    offset = 0
    while offset < len(data):
        found = _record_at(data, offset)
        if isinstance(found, AudioRecord):
            yield found
        else:
            # The length of a damaged record may reach over good ones, so it is not used to get past it.
            after = _next_header(data, offset + 1)
            size = after - offset
            damage, start, end = found
            if damage is Damage.GARBAGE and not data[offset:after].strip(b"\0"):
                damage = Damage.ZEROS
            yield Flaw(damage, offset, size, start, end)
        offset += found.size if isinstance(found, AudioRecord) else size


def _record_at(data: bytes, offset: int) -> AudioRecord | tuple[Damage, Sample | None, Sample | None]:
    fields = _header_at(data, offset)
    if fields is None:
        return Damage.GARBAGE, None, None
    size, start, count, wall_s, check = fields
    payload = data[offset + HEADER : offset + HEADER + size]
    if len(payload) < size:
        return Damage.TORN, Sample(start), Sample(start + count)
    if zlib.crc32(payload) != check:
        return Damage.CHECKSUM, Sample(start), Sample(start + count)
    return AudioRecord(Sample(start), Sample(start + count), wall_s, payload, offset)


def _header_at(data: bytes, offset: int) -> tuple[int, int, int, float, int] | None:
    header = data[offset : offset + HEADER]
    if len(header) < HEADER or not header.startswith(MAGIC):
        return None
    if _CHECK.unpack_from(header, _FIELDS.size)[0] != zlib.crc32(header[: _FIELDS.size]):
        return None
    _, size, start, count, wall_s, check = _FIELDS.unpack_from(header)
    if not (0 < size <= LARGEST and 0 < count <= LONGEST and start >= 0 and start % 2 == 0):
        return None
    return size, start, count, wall_s, check


def _next_header(data: bytes, offset: int) -> int:
    while True:
        offset = data.find(MAGIC, offset)
        if offset < 0:
            return len(data)
        if _header_at(data, offset) is not None:
            return offset
        offset += 1
