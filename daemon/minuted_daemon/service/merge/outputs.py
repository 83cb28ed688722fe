"""What follows from the merge's decisions: records to be stored, partials to be shown, texts that are owed.

Nothing is decided about speech here, and nothing waits. Commands for the transcriber are the driver's to hand on.
"""

from collections.abc import Sequence
from typing import Protocol

from minuted_daemon.core.coverage import NO_WORDS, Claim
from minuted_daemon.core.events import (
    TextSource,
    TurnGrew,
    TurnRetracted,
    TurnRevised,
    TurnSettled,
    TurnState,
    WordsMissing,
)
from minuted_daemon.core.records import IntervalKind, Record, TurnRecord
from minuted_daemon.core.samples import Sample, samples
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.coverage import lacks_text
from minuted_daemon.service.merge.intervals import IntervalRecords
from minuted_daemon.service.merge.turn_records import TurnRecords
from minuted_daemon.service.views import PartialTurn

MARGIN = samples(5.0)
"""A turn's audio is asked for again with a little of what was before it."""

TurnOutput = TurnGrew | TurnSettled | TurnRevised | TurnRetracted | WordsMissing


class Outbox(Protocol):
    """Takes records to the store."""

    def put(self, records: Sequence[Record]) -> None:
        """Have these stored in one transaction, after all that was put before. Never waits."""
        ...


class PartialFeed(Protocol):
    """Shows subscribers how turns grow."""

    def tell(self, partial: PartialTurn) -> None:
        """Tell subscribers. Never waits."""
        ...


class OwedTexts:
    """The turns of one session that were stored without their text although their audio is still there."""

    def __init__(self, since: Sample | None, before: Sample | None, spool: Spool | None) -> None:
        """`since`: where the first one begins. `before`: those of an earlier life of the daemon end there."""
        self._since = since
        self._before = before
        self._spool = spool

    @property
    def since(self) -> Sample | None:
        """Where the first one begins; None without any."""
        return self._since

    @property
    def before(self) -> Sample | None:
        """Where those end that are owed from before the daemon's restart; None without any."""
        return None if self._since is None else self._before

    @property
    def retain_from(self) -> Sample | None:
        """Audio from here on is needed for them; None without any."""
        return None if self._since is None else Sample(max(0, self._since - MARGIN))

    def add(self, turn: TurnState) -> None:
        """A turn is stored without its text because there was no more time."""
        self._since = turn.start if self._since is None else min(self._since, turn.start)

    def covers(self, claim: Claim) -> bool:
        """Return whether a stored turn is without its text, and is asked for again once the session has ended."""
        since, spool = self._since, self._spool
        return since is not None and spool is not None and lacks_text(claim) and claim.start >= max(since, spool.begin)

    def clear(self) -> None:
        """All texts are there, or cannot be had: their audio need not be held any more."""
        self._since = self._before = None


class MergeOutputs:
    """One session's."""

    def __init__(
        self,
        turn_records: TurnRecords,
        intervals: IntervalRecords,
        outbox: Outbox,
        feed: PartialFeed,
        owed: OwedTexts,
    ) -> None:
        self._turn_records = turn_records
        self._intervals = intervals
        self._outbox = outbox
        self._feed = feed
        self._owed = owed
        self._gave_up = False

    @property
    def retain_from(self) -> Sample | None:
        """Audio from here on may be asked for once the session has ended; None without any."""
        return self._owed.retain_from

    def dispatch(self, outputs: Sequence[TurnOutput]) -> None:
        """Have what follows from one event stored in one transaction, and shown."""
        records: list[Record] = []
        for output in outputs:
            match output:
                case WordsMissing():
                    records.append(self._intervals.new(IntervalKind.LOST, output.start, output.end, NO_WORDS))
                case TurnGrew():
                    partial = self._turn_records.grew(output.turn)
                    if partial is not None:
                        self._feed.tell(partial)
                case TurnRetracted():
                    gone = self._turn_records.retracted(output.number)
                    if isinstance(gone, TurnRecord):
                        records.append(gone)
                    elif gone is not None:
                        self._feed.tell(gone)
                case TurnSettled() | TurnRevised():
                    self._note_owed(output.turn)
                    records += self._turn_records.settled(output.turn, output.generation)
        if records:
            self._outbox.put(records)

    def give_up(self) -> None:
        """There is no more time: what is settled from here on without its text is owed it."""
        self._gave_up = True

    def settle_rest(self) -> None:
        """Have every turn stored that is not final, with the text it has."""
        for turn in self._turn_records.unsettled():
            self._note_owed(turn)
            self._outbox.put(self._turn_records.settled(turn, None))

    def forget(self, before: Sample) -> None:
        """Final turns that end before this position change no more."""
        self._turn_records.forget(before)

    def _note_owed(self, turn: TurnState) -> None:
        if self._gave_up and turn.text_source is not TextSource.COMPLETED:
            self._owed.add(turn)
