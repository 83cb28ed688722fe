"""How a capture worker says why it gives up. No numpy here: a worker whose device is absent needs nothing else."""

import struct
from dataclasses import dataclass

HEADER = struct.Struct("<cI")
"""In front of everything a worker says: the kind of frame, and the length of what follows."""
FAULT = b"F"
LARGEST = 65_536

DEVICE_MOVED = "DEVICE_MOVED"
"""The sound server gives another microphone than the session's."""
DEFAULT_CHANGED = "DEFAULT_CHANGED"


@dataclass(frozen=True, slots=True)
class Fault:
    """A worker's last words. `reason` is UPPER_SNAKE."""

    reason: str
    detail: str


def pack_fault(fault: Fault) -> bytes:
    """Encode a fault."""
    payload = f"{fault.reason}\n{fault.detail}".encode()[:LARGEST]
    return HEADER.pack(FAULT, len(payload)) + payload


def unpack_fault(payload: bytes) -> Fault:
    """Decode what follows the header of a fault."""
    reason, _, detail = payload.decode(errors="replace").partition("\n")
    return Fault(reason, detail)
