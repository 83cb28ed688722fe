"""What a session's write-behind queue had to drop, as intervals of kind LOST: it must not count as silence.

Rule for full: few intervals, whatever is dropped. Neighbours are joined, and past MAX_LOSSES the two nearest to each
other: what lies between them then counts as lost, too, but for what is stored (see core/coverage.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Record,
    SessionId,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample, samples

NOT_STORED = "NOT_STORED"
"""The reason of what is lost because the store did not take it."""
MAX_LOSSES = 64
NEIGHBOURS = samples(1.0)
"""Stretches so near to each other are one loss."""


class SampleClock(Protocol):
    """The map from a session's samples to wall time."""

    def wall_s(self, at: Sample) -> float:
        """Return the wall time of a sample, seconds since 1970."""
        ...


class Losses:
    """One for each session. Each interval is kept, and may grow, until it is stored as it is."""

    def __init__(self, session_id: SessionId, new_id: Callable[[], str], clock: SampleClock) -> None:
        self._session_id = session_id
        self._new_id = new_id
        self._clock = clock
        self._waiting: list[IntervalRecord] = []

    @property
    def waiting(self) -> Sequence[IntervalRecord]:
        """Those that are to be stored, by start."""
        return tuple(self._waiting)

    def note(self, gone: Iterable[Record]) -> None:
        """These will never be stored. What had been stored of a turn before stays, and counts."""
        for record in gone:
            if isinstance(record, IntervalRecord) or (isinstance(record, TurnRecord) and record.life is TurnLife.FINAL):
                self._add(record.start, record.end)

    def stored(self, losses: Iterable[IntervalRecord]) -> None:
        """These are stored so; one that has grown since still waits."""
        done = list(losses)
        self._waiting = [loss for loss in self._waiting if loss not in done]

    def _add(self, start: Sample, end: Sample) -> None:
        interval_id = IntervalId(self._new_id())
        loss = IntervalRecord(
            interval_id, self._session_id, IntervalKind.LOST, start, end, self._clock.wall_s(start), reason=NOT_STORED
        )
        self._waiting = _joined([*self._waiting, loss], NEIGHBOURS)
        if len(self._waiting) > MAX_LOSSES:
            self._waiting = _joined(self._waiting, min(b.start - a.end for a, b in pairwise(self._waiting)))


def _joined(losses: Iterable[IntervalRecord], gap: int) -> list[IntervalRecord]:
    """Join those with no more than `gap` between them, by start; the first of each keeps its id."""
    joined: list[IntervalRecord] = []
    for loss in sorted(losses, key=lambda one: one.start):
        if joined and loss.start - joined[-1].end <= gap:
            joined[-1] = replace(joined[-1], end=max(joined[-1].end, loss.end))
        else:
            joined.append(loss)
    return joined
