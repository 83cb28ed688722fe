"""What is known of the texts that one ended session is owed, beside what is stored. Nothing waits or is read here."""

from dataclasses import dataclass, field

from minuted_daemon.core.records import TurnId, TurnRecord
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports import Transcriber
from minuted_daemon.service.retry import ASK_AGAIN_S
from minuted_daemon.service.standing import Standing


@dataclass(slots=True)
class _Attempts:
    """Of one turn. `again_s`: when, by the loop's clock, it may be asked for again; never, once it is given up."""

    failed: int = 0
    again_s: float = 0.0


@dataclass(slots=True)
class Debt:
    """One session's. `attempts` holds only turns that were asked for in vain.

    `given_up` and `unwanted` are stretches; `under_way` is asked for now, `texts` counts those that came. Of a session
    that goes on, only turns that end `before` are seen to here, and `live` hears what was sent.
    """

    transcriber: Transcriber | None = None
    attempts: dict[TurnId, _Attempts] = field(default_factory=dict)
    given_up: set[tuple[Sample, Sample]] = field(default_factory=set)
    unwanted: list[tuple[Sample, Sample]] = field(default_factory=list)
    under_way: TurnRecord | None = None
    standing: Standing = field(default_factory=Standing)
    texts: int = 0
    before: Sample | None = None
    live: Standing | None = None

    def wants(self, turn: TurnRecord) -> bool:
        """Whether the turn's text is still to be had."""
        touched = any(turn.start < end and turn.end > start for start, end in self.unwanted)
        if self.before is not None and turn.end > self.before:
            return False
        return not touched and (turn.start, turn.end) not in self.given_up

    def due_s(self, turn: TurnRecord) -> float:
        """Give the time from which on the turn may be asked for."""
        return self.attempts[turn.id].again_s if turn.id in self.attempts else 0.0

    def failed(self, turn: TurnRecord, now_s: float) -> None:
        """An attempt brought no text: the turn is asked for later, a bounded number of times."""
        attempts = self.attempts.setdefault(turn.id, _Attempts())
        attempts.failed += 1
        if attempts.failed > len(ASK_AGAIN_S):
            self.give_up(turn)
        else:
            attempts.again_s = now_s + ASK_AGAIN_S[attempts.failed - 1]

    def give_up(self, turn: TurnRecord) -> None:
        """The turn stays as it is."""
        self.attempts.pop(turn.id, None)
        self.given_up.add((turn.start, turn.end))
