"""What a capture worker tells the daemon over its pipe: frames of a kind, a length and a payload.

Both ends are this same version of minuted, so there is no negotiation; anything unexpected is a fault of the worker.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minuted_daemon.adapters.capture.protocol.faults import (
    FAULT,
    HEADER,
    LARGEST,
    REMARK,
    Fault,
    Remark,
    unpack_fault,
    unpack_remark,
)
from minuted_daemon.adapters.capture.protocol.messages import OPENED, Opened, unpack_opened
from minuted_daemon.adapters.capture.resampling import Rendered, Silence
from minuted_daemon.core.samples import BLOCK, WIDE_BLOCK

_BLOCK = struct.Struct("<QddH")
_SILENCE = struct.Struct("<HH")
_AUDIO = b"B"


@dataclass(frozen=True, slots=True)
class Captured:
    """A block, with the monotonic and the wall time of its first sample."""

    block: Rendered
    monotonic_s: float
    wall_s: float


def pack_captured(captured: Captured) -> bytes:
    """Encode a block."""
    block = captured.block
    payload = b"".join(
        (
            _BLOCK.pack(block.index, captured.monotonic_s, captured.wall_s, len(block.silences)),
            *(_SILENCE.pack(silence.start, silence.end) for silence in block.silences),
            block.pcm.tobytes(),
            block.wide.tobytes(),
        )
    )
    return HEADER.pack(_AUDIO, len(payload)) + payload


class Unpacker:
    """Bytes in, messages out, in pieces of any size."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Captured | Opened | Remark | Fault]:
        """Return the messages that `data` completes. Raises ValueError on anything a worker does not say."""
        self._pending += data
        while len(self._pending) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._pending)
            if length > LARGEST:
                raise ValueError("frame too long")
            end = HEADER.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[HEADER.size : end])
            del self._pending[:end]
            yield _unpack(kind, payload)


def _unpack(kind: bytes, payload: bytes) -> Captured | Opened | Remark | Fault:
    if kind == FAULT:
        return unpack_fault(payload)
    if kind == REMARK:
        return unpack_remark(payload)
    if kind == OPENED:
        return unpack_opened(payload)
    if kind != _AUDIO:
        raise ValueError("unknown kind of frame")
    try:
        index, monotonic_s, wall_s, count = _BLOCK.unpack_from(payload)
        silences = tuple(Silence(*_SILENCE.unpack_from(payload, _BLOCK.size + n * _SILENCE.size)) for n in range(count))
    except struct.error as error:
        raise ValueError("frame too short") from error
    audio = np.frombuffer(payload, np.int16, offset=_BLOCK.size + count * _SILENCE.size)
    if len(audio) != BLOCK + WIDE_BLOCK:
        raise ValueError("block of a wrong length")
    return Captured(Rendered(index, audio[:BLOCK], audio[BLOCK:], silences), monotonic_s, wall_s)
