"""What of a live session is no speech to be attributed: gaps, pauses and losses, stored as they grow.

When a gap or a pause begins and ends is noted beside the audio, too: it is stored again only now and then, and a daemon
that is killed in between must not leave it to be taken for silence. Losses need no notes: the audio is not there.
"""

from collections.abc import Callable, Iterable, Sequence

from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, Record, SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.capture import MUTED, Filled, Missing
from minuted_daemon.ports.spool import Loss, Note, Spool
from minuted_daemon.service.recovery.intervals import claim_of, ended, missing
from minuted_daemon.service.recovery.log import IntervalNoted, encoded
from minuted_daemon.service.recovery.state import AWAY, Resumed
from minuted_daemon.service.session.interval_tracker import IntervalTracker
from minuted_daemon.service.session.pause import PAUSED

DAMAGED = "SPOOL_DAMAGED"
"""The reason of what is lost because the spool does not hold it any more, or never did, when the daemon is back."""


class NonSpeechTracker:
    """One session's. Nothing here waits but `recall`. Without a spool nothing is noted."""

    def __init__(
        self,
        session_id: SessionId,
        new_id: Callable[[], str],
        wall_s: Callable[[Sample], float],
        put: Callable[[Sequence[Record]], None],
        spool: Spool | None,
    ) -> None:
        """`wall_s` gives a sample's wall time; `put` has records stored and does not wait."""
        self._session_id = session_id
        self._new_id = new_id
        self._wall_s = wall_s
        self._put = put
        self._spool = spool
        self._gaps = IntervalTracker(session_id, IntervalKind.GAP, new_id, wall_s)
        self._muted = IntervalTracker(session_id, IntervalKind.MUTED, new_id, wall_s, told_after=0)
        self._lost = IntervalTracker(session_id, IntervalKind.LOST, new_id, wall_s)

    @property
    def growing(self) -> list[IntervalRecord]:
        """Those that may still grow, stored or not."""
        return [one for ledger in (self._gaps, self._muted, self._lost) if (one := ledger.growing) is not None]

    def heard(self, start: Sample, end: Sample, filled: Iterable[Filled]) -> None:
        """The block [start, end) was heard, of which so much was filled with silence."""
        for hole in filled:
            low, high = Sample(start + hole.start), Sample(start + hole.end)
            if hole.reason == MUTED:
                self._add(self._muted, low, high, PAUSED)
            else:
                self._add(self._gaps, low, high, hole.reason)
        for ledger in (self._gaps, self._muted):
            self._end(ledger, lambda one: one.passed(end))

    def away(self, start: Sample, end: Sample) -> None:
        """The daemon was not there."""
        self._add(self._gaps, start, end, AWAY)

    def lost(self, losses: Iterable[Loss], needed_from: Sample, held_from: Sample) -> None:
        """Audio is gone, of which that from `needed_from` on was needed; what is left begins at `held_from`."""
        for loss in losses:
            if loss.end > needed_from:
                self._put(self._lost.add(Sample(max(loss.start, needed_from)), loss.end, loss.reason))
        self._put(self._lost.passed(held_from))

    def missing(self, missing: Missing) -> None:
        """A recording does not hold what it promises."""
        interval_id, wall_s = IntervalId(self._new_id()), self._wall_s(missing.start)
        end, reason = missing.end, missing.reason
        self._put(
            [
                IntervalRecord(
                    interval_id, self._session_id, IntervalKind.LOST, missing.start, end, wall_s, reason=reason
                )
            ]
        )

    def close(self) -> None:
        """Nothing more is heard."""
        for ledger in (self._gaps, self._muted):
            self._end(ledger, IntervalTracker.close)
        self._put(self._lost.close())

    def note_again(self) -> None:
        """Note what is growing: the notes about it may be let go of, or erased."""
        for ledger in (self._gaps, self._muted):
            if ledger.growing is not None:
                self._note(ledger.growing, growing=True)

    async def recall(self, resumed: Resumed, freeze: int) -> None:
        """Bring what is stored of an earlier life of the daemon to where it was when that ended; call it once, first.

        `freeze`, in samples: what is older may have been let go of on purpose.
        """
        if self._spool is None:
            return
        noted = await ended(resumed, self._spool)
        for one in noted:
            wall_s = self._wall_s(one.start)
            record = IntervalRecord(one.id, self._session_id, one.kind, one.start, one.end, wall_s, reason=one.reason)
            if claim_of(one) not in resumed.claims:
                self._put([record])
            if one.growing:
                self._note(record, growing=False)
        for start, end in missing(resumed, self._spool, freeze, noted):
            interval_id = IntervalId(self._new_id())
            wall_s = self._wall_s(start)
            self._put(
                [IntervalRecord(interval_id, self._session_id, IntervalKind.LOST, start, end, wall_s, reason=DAMAGED)]
            )

    def _add(self, ledger: IntervalTracker, start: Sample, end: Sample, reason: str) -> None:
        before = ledger.growing
        self._put(ledger.add(start, end, reason))
        after = ledger.growing
        if after is not None and (before is None or before.id != after.id):
            if before is not None:
                self._note(before, growing=False)
            self._note(after, growing=True)

    def _end(self, ledger: IntervalTracker, end: Callable[[IntervalTracker], list[IntervalRecord]]) -> None:
        before = ledger.growing
        self._put(end(ledger))
        if before is not None and ledger.growing is None:
            self._note(before, growing=False)

    def _note(self, interval: IntervalRecord, *, growing: bool) -> None:
        if self._spool is not None:
            at, kind, reason = interval.end, interval.kind, interval.reason
            noted = IntervalNoted(at, interval.id, kind, reason, interval.start, interval.end, growing)
            self._spool.note(Note(at, at, encoded(noted)))
