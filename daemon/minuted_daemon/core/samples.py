"""Positions and lengths on the sample clock, the only time base inside a session. No wall clock is read here."""

from typing import NewType

Sample = NewType("Sample", int)
"""A position on a session's sample clock: samples at 16 kHz since the session's start."""

RATE_HZ = 16_000
WIDE_RATE_HZ = 24_000
"""The rate of the second rendering of every block, for transcribers that want more than 8 kHz of bandwidth."""
BLOCK = 1_600
"""Samples in one audio block: 100 ms."""
WIDE_BLOCK = 2_400
FRAME = 160
"""Samples in one voice-activity frame: 10 ms."""
ENDLESS = 1 << 62
"""Behind every position that there will ever be."""


def samples(seconds: float) -> int:
    """Return the number of samples nearest to a length in seconds."""
    return round(seconds * RATE_HZ)


def seconds(count: int) -> float:
    """Return the length in seconds of a number of samples."""
    return count / RATE_HZ


def wide(position: int) -> int:
    """Return the position at 24 kHz of a position at 16 kHz (rounded down: neighbouring ranges stay neighbours)."""
    return position * 3 // 2
