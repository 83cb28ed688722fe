"""How a capture worker says why it gives up. No numpy here: a worker whose device is absent needs nothing else."""

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<cI")
"""In front of everything a worker says: the kind of frame, and the length of what follows."""
FAULT = b"F"
REMARK = b"R"
LARGEST = 65_536

DEVICE_MOVED = "DEVICE_MOVED"
"""The sound server gives another microphone than the session's."""
DEFAULT_CHANGED = "DEFAULT_CHANGED"


@dataclass(frozen=True, slots=True)
class Fault:
    """A worker's last words. `reason` is UPPER_SNAKE."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What is odd about a stream that works. `reason` is UPPER_SNAKE, both are empty where nothing is."""

    reason: str
    detail: str


def pack_remark(remark: Remark) -> bytes:
    """Encode a remark."""
    payload = f"{remark.reason}\n{remark.detail}".encode()[:LARGEST]
    return HEADER.pack(REMARK, len(payload)) + payload


def unpack_remark(payload: bytes) -> Remark:
    """Decode what follows the header of a remark."""
    reason, _, detail = payload.decode(errors="replace").partition("\n")
    return Remark(reason, detail)


def pack_fault(fault: Fault) -> bytes:
    """Encode a fault."""
    payload = f"{fault.reason}\n{fault.detail}".encode()[:LARGEST]
    return HEADER.pack(FAULT, len(payload)) + payload


def unpack_fault(payload: bytes) -> Fault:
    """Decode what follows the header of a fault."""
    reason, _, detail = payload.decode(errors="replace").partition("\n")
    return Fault(reason, detail)
