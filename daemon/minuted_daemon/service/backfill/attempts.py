"""The attempts to get the texts that one ended session lacks. Nothing waits or is read here."""

from dataclasses import dataclass, field, replace

from minuted_daemon.core.records import TurnId, TurnRecord
from minuted_daemon.core.samples import Sample
from minuted_daemon.core.suspicion.judge import Suspicion, said_in
from minuted_daemon.ports.engines import Transcriber
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.retries.policy import ASK_AGAIN_S


@dataclass(frozen=True, slots=True)
class BackfillLimits:
    """How often and how soon a text is asked for.

    `again_s`: the waits after each attempt in vain; after the last of them the turn is given up. `others_first_s`: a
    turn that was tried while everything failed is tried again so much later; `most_trials`: so often at most, which is
    a day at ten minutes each. `trial_wait_s`: the first wait then, each twice the one before. `page`: turns that are
    read at once.
    """

    again_s: tuple[float, ...] = ASK_AGAIN_S
    others_first_s: float = 60.0
    most_trials: int = 150
    trial_wait_s: float = 4.0
    page: int = 50


LIMITS = BackfillLimits()


@dataclass(slots=True)
class _Attempts:
    """Of one turn. `again_s`: when, by the loop's clock, it may be asked for again; never, once it is given up.

    `wordless`: answers without a word; `trials`: attempts while everything failed. `said`: the most that was said
    before a text that did not come.
    """

    failed: int = 0
    wordless: int = 0
    trials: int = 0
    again_s: float = 0.0
    said: str = ""


@dataclass(slots=True)
class BackfillState:
    """One session's. `attempts` holds only turns that were asked for in vain.

    `given_up` and `redacted` are stretches; `current` is asked for now, `texts` counts those that came. Of a session
    that goes on, only turns that end `before` are seen to here, and `live` hears what was sent.
    """

    transcriber: Transcriber | None = None
    suspicion: Suspicion = field(default_factory=Suspicion)
    attempts: dict[TurnId, _Attempts] = field(default_factory=dict)
    given_up: set[tuple[Sample, Sample]] = field(default_factory=set)
    redacted: list[tuple[Sample, Sample]] = field(default_factory=list)
    current: TurnRecord | None = None
    usage: EngineUsage = field(default_factory=EngineUsage)
    texts: int = 0
    before: Sample | None = None
    live: EngineUsage | None = None
    limits: BackfillLimits = LIMITS

    def is_pending(self, turn: TurnRecord) -> bool:
        """Return whether the turn's text may still come."""
        if self.before is not None and turn.end > self.before:
            return False
        return not self.is_redacted(turn) and (turn.start, turn.end) not in self.given_up

    def is_redacted(self, turn: TurnRecord) -> bool:
        """Return whether some of it is redacted."""
        return any(turn.start < end and turn.end > start for start, end in self.redacted)

    def judged(self, turn: TurnRecord) -> TurnRecord:
        """Mark the turn if its text looks invented; take the mark away if it does not."""
        return replace(turn, suspect=self.suspicion.judge(turn.id, said_in(turn)))

    def due_s(self, turn: TurnRecord) -> float:
        """Return the time from which on the turn may be asked for."""
        return self.attempts[turn.id].again_s if turn.id in self.attempts else 0.0

    def failed(self, turn: TurnRecord, now_s: float, said: str = "") -> str | None:
        """An attempt brought no text: the turn is asked for later, a bounded number of times.

        Returns the most that was said of it once it is given up, None before.
        """
        attempts = self._attempts(turn, said)
        attempts.failed += 1
        return self._again(turn, attempts, attempts.failed, now_s)

    def wordless(self, turn: TurnRecord, now_s: float, said: str, repeats: bool) -> str | None:
        """There was speech, and the answer had no word: the turn is asked for once more. Returns the same.

        `repeats`: there is no use in that.
        """
        attempts = self._attempts(turn, said)
        attempts.wordless += 1
        if repeats or attempts.wordless > 1:
            self.give_up(turn)
            return attempts.said
        return self._again(turn, attempts, attempts.failed + attempts.wordless, now_s)

    def tried(self, turn: TurnRecord, now_s: float, said: str) -> str | None:
        """The same for an attempt while everything failed: another turn is tried next."""
        attempts = self._attempts(turn, said)
        attempts.trials += 1
        attempts.again_s = now_s + self.limits.others_first_s
        if attempts.trials <= self.limits.most_trials:
            return None
        self.give_up(turn)
        return attempts.said

    def _attempts(self, turn: TurnRecord, said: str) -> _Attempts:
        attempts = self.attempts.setdefault(turn.id, _Attempts())
        attempts.said = max(attempts.said, said, key=len)
        return attempts

    def _again(self, turn: TurnRecord, attempts: _Attempts, number: int, now_s: float) -> str | None:
        if number > len(self.limits.again_s):
            self.give_up(turn)
            return attempts.said
        attempts.again_s = now_s + self.limits.again_s[number - 1]
        return None

    def give_up(self, turn: TurnRecord) -> None:
        """The turn stays as it is."""
        self.attempts.pop(turn.id, None)
        self.given_up.add((turn.start, turn.end))
