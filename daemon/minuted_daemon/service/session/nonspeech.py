"""What of a live session is no speech to be attributed: gaps, pauses and losses, stored as they grow.

When a gap or a pause begins and ends is also noted in the recovery log: it is stored again only now and then, and after
a crash in between it would be taken for silence. Losses need no notes: the audio is not there.
"""

from collections.abc import Callable, Iterable

from minuted_daemon.core.records import IntervalKind, IntervalRecord
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.capture import MUTED, Filled, Missing
from minuted_daemon.ports.spool import Loss, Note, Spool
from minuted_daemon.service.merge.intervals import IntervalRecords, IntervalTracker
from minuted_daemon.service.merge.outputs import Outbox
from minuted_daemon.service.recovery.intervals import claim_of, ended, missing
from minuted_daemon.service.recovery.log import IntervalNoted, encoded
from minuted_daemon.service.recovery.state import AWAY, Resumed
from minuted_daemon.service.session.pause import PAUSED

DAMAGED = "SPOOL_DAMAGED"
"""The reason of what is lost because the spool does not hold it any more, or never did, when the daemon is back."""


class NonSpeechTracker:
    """One session's. Nothing here waits but `recall`. Without a spool nothing is noted."""

    def __init__(self, intervals: IntervalRecords, outbox: Outbox, spool: Spool | None) -> None:
        self._intervals = intervals
        self._outbox = outbox
        self._spool = spool
        self._gaps = IntervalTracker(IntervalKind.GAP, intervals)
        self._muted = IntervalTracker(IntervalKind.MUTED, intervals, told_after=0)
        self._lost = IntervalTracker(IntervalKind.LOST, intervals)

    @property
    def growing(self) -> list[IntervalRecord]:
        """Those that may still grow, stored or not."""
        return [one for tracker in (self._gaps, self._muted, self._lost) if (one := tracker.growing) is not None]

    def heard(self, start: Sample, end: Sample, filled: Iterable[Filled]) -> None:
        """The block [start, end) was heard, of which so much was filled with silence."""
        for hole in filled:
            low, high = Sample(start + hole.start), Sample(start + hole.end)
            if hole.reason == MUTED:
                self._add(self._muted, low, high, PAUSED)
            else:
                self._add(self._gaps, low, high, hole.reason)
        for tracker in (self._gaps, self._muted):
            self._end(tracker, lambda one: one.passed(end))

    def away(self, start: Sample, end: Sample) -> None:
        """The daemon was not there."""
        self._add(self._gaps, start, end, AWAY)

    def lost(self, losses: Iterable[Loss], needed_from: Sample, held_from: Sample) -> None:
        """Audio is gone, of which that from `needed_from` on was needed; what is left begins at `held_from`."""
        for loss in losses:
            if loss.end > needed_from:
                self._outbox.put(self._lost.add(Sample(max(loss.start, needed_from)), loss.end, loss.reason))
        self._outbox.put(self._lost.passed(held_from))

    def missing(self, missing: Missing) -> None:
        """A recording does not hold what it promises."""
        lost = self._intervals.new(IntervalKind.LOST, missing.start, missing.end, missing.reason)
        self._outbox.put([lost])

    def close(self) -> None:
        """Nothing more is heard."""
        for tracker in (self._gaps, self._muted):
            self._end(tracker, IntervalTracker.close)
        self._outbox.put(self._lost.close())

    def note_again(self) -> None:
        """Note what is growing: the notes about it may be let go of, or erased."""
        for tracker in (self._gaps, self._muted):
            if tracker.growing is not None:
                self._note(tracker.growing, growing=True)

    async def recall(self, resumed: Resumed, freeze: int) -> None:
        """Bring what is stored of an earlier life of the daemon to where it was when that ended; call it once, first.

        `freeze`, in samples: what is older may have been let go of on purpose.
        """
        if self._spool is None:
            return
        noted = await ended(resumed, self._spool)
        for one in noted:
            record = self._intervals.known(one.id, one.kind, one.start, one.end, one.reason)
            if claim_of(one) not in resumed.claims:
                self._outbox.put([record])
            if one.growing:
                self._note(record, growing=False)
        for start, end in missing(resumed, self._spool, freeze, noted):
            self._outbox.put([self._intervals.new(IntervalKind.LOST, start, end, DAMAGED)])

    def _add(self, tracker: IntervalTracker, start: Sample, end: Sample, reason: str) -> None:
        before = tracker.growing
        self._outbox.put(tracker.add(start, end, reason))
        after = tracker.growing
        if after is not None and (before is None or before.id != after.id):
            if before is not None:
                self._note(before, growing=False)
            self._note(after, growing=True)

    def _end(self, tracker: IntervalTracker, end: Callable[[IntervalTracker], list[IntervalRecord]]) -> None:
        before = tracker.growing
        self._outbox.put(end(tracker))
        if before is not None and tracker.growing is None:
            self._note(before, growing=False)

    def _note(self, interval: IntervalRecord, *, growing: bool) -> None:
        if self._spool is not None:
            at, kind, reason = interval.end, interval.kind, interval.reason
            noted = IntervalNoted(at, interval.id, kind, reason, interval.start, interval.end, growing)
            self._spool.note(Note(at, at, encoded(noted)))
