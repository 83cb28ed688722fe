"""A sound in which every lost sample can be counted: a ramp that rises by one with each sample at 48 kHz."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from minuted_daemon.ports.capture import AudioBlock

RAMP = 32_768
STEP = 3
"""From one sample at 16 kHz to the next."""
_EDGE = 300
"""Around its jump back to zero the resampler rings."""
_GAP_S = 0.02
"""Less is no gap: a player may stumble by a few milliseconds."""
_SETTLING = 2
"""Blocks at the start of a stream in which it rings too."""


def write_ramp(path: Path, seconds: float) -> None:
    """Write the ramp as a recording at 48 kHz."""
    soundfile.write(path, (np.arange(round(seconds * 48_000)) % RAMP).astype(np.int16), 48_000, subtype="PCM_16")


def lost_s(blocks: Sequence[AudioBlock]) -> float:
    """Seconds of the ramp that are missing between neighbouring blocks which both claim to be heard from end to end."""
    missing = 0.0
    before: int | None = None
    run = 0
    for block in blocks:
        at = None if block.filled else _start(block)
        run = 0 if at is None else run + 1
        if at is not None and before is not None and run > _SETTLING:
            jump = (at - before - 1600 * STEP + RAMP // 2) % RAMP - RAMP // 2
            if abs(jump) > _GAP_S * STEP * 16_000:
                missing += abs(jump) / (STEP * 16_000)
        before = at
    return missing


def _start(block: AudioBlock) -> int | None:
    """Where in the ramp a block begins, None where it holds none."""
    heard = block.pcm.astype(np.int64)
    clear = (heard > _EDGE) & (heard < RAMP - _EDGE)
    if clear.sum() < 800:
        return None
    begins = (heard - STEP * np.arange(1600))[clear]
    around = (begins - begins[0] + RAMP // 2) % RAMP - RAMP // 2
    return int(begins[0] + np.median(around)) % RAMP
