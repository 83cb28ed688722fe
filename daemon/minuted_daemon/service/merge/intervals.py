"""Stretches of a session that hold no text, as records: one for each stretch, not for each block."""

from collections.abc import Callable
from dataclasses import replace

from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.service.persistence.losses import SampleClock

TOLD_AFTER = samples(5.0)
"""A stretch is stored when it has ended; one that lasts longer than this is stored while it still grows."""
TOLD_AGAIN = samples(60.0)
"""How much a stored stretch grows before it is stored again."""


class IntervalRecords:
    """Makes the interval records of one session."""

    def __init__(self, session_id: SessionId, new_id: Callable[[], str], clock: SampleClock) -> None:
        self._session_id = session_id
        self._new_id = new_id
        self._clock = clock

    def new(self, kind: IntervalKind, start: Sample, end: Sample, reason: str) -> IntervalRecord:
        """Return a record with an id of its own."""
        return self.known(IntervalId(self._new_id()), kind, start, end, reason)

    def known(
        self, interval_id: IntervalId, kind: IntervalKind, start: Sample, end: Sample, reason: str
    ) -> IntervalRecord:
        """Return the record of an interval that has its id already."""
        wall_s = self._clock.wall_s(start)
        return IntervalRecord(interval_id, self._session_id, kind, start, end, wall_s, reason=reason)


class IntervalTracker:
    """Joins neighbouring stretches of the same kind and reason, and says when one is to be stored.

    Stretches come in order of their start. One tracker holds one open stretch: use one for each kind.
    """

    def __init__(self, kind: IntervalKind, records: IntervalRecords, told_after: int = TOLD_AFTER) -> None:
        """`told_after`: how long a stretch lasts, in samples, before it is stored while it grows; 0 for at once."""
        self._kind = kind
        self._records = records
        self._told_after = told_after
        self._open: IntervalRecord | None = None
        self._told_to = Sample(0)

    def add(self, start: Sample, end: Sample, reason: str) -> list[IntervalRecord]:
        """Take in the stretch [start, end); return what is to be stored now."""
        ready = []
        if self._open is not None and (self._open.end < start or self._open.reason != reason):
            ready += self.close()
        if self._open is None:
            self._open = self._records.new(self._kind, start, end, reason)
            self._told_to = start
        elif end > self._open.end:
            self._open = replace(self._open, end=end)
        told_before = self._told_to > self._open.start
        if self._open.end - self._told_to >= (TOLD_AGAIN if told_before else self._told_after):
            self._told_to = self._open.end
            ready.append(self._open)
        return ready

    @property
    def growing(self) -> IntervalRecord | None:
        """The open stretch as it is now, stored or not."""
        return self._open

    def passed(self, to: Sample) -> list[IntervalRecord]:
        """Everything before `to` is known: a stretch that ends earlier has ended."""
        return self.close() if self._open is not None and self._open.end < to else []

    def close(self) -> list[IntervalRecord]:
        """End the open stretch where it ends now; return it unless it is stored like that already."""
        last, self._open = self._open, None
        return [last] if last is not None and last.end > self._told_to else []
