"""How long the store waits and how much it does at a time. What is measured stands beside each value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DatabaseLimits:
    """For opening the database and for its connections."""

    busy_ms: int = 5_000
    """How long to wait for another program's lock. Our own writer has no rival."""
    thorough_mb: int = 16
    """Up to this size all pages are checked at start (some 0.1 s); above, those that opening and new rows touch."""


@dataclass(frozen=True, slots=True)
class ErasureLimits:
    """For deleting, redacting, and overwriting what they leave; other writes go in between."""

    rows: int = 500
    """Rows that are deleted in one transaction: some 20 ms."""
    turns: int = 100
    """Turns that are redacted in one transaction: some 70 ms."""
    pages: int = 2_048
    """Pages that are scrubbed while the writer waits: 8 MB, some 10 ms, or 100 where much is left over."""
    readers_ms: int = 50
    """How long one attempt to scrub waits for readers. The writer waits meanwhile, so it is better to come again."""
    total_s: float = 30.0
    """How long to wait, over all attempts, for readers of an older state."""


DATABASE_LIMITS = DatabaseLimits()
ERASURE_LIMITS = ErasureLimits()
