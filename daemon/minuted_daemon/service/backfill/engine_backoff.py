"""When a kind of transcriber is asked again for texts that ended sessions lack."""

from dataclasses import dataclass, field

from minuted_daemon.core.records import TurnId
from minuted_daemon.service.retries.gate import Door
from minuted_daemon.service.retries.policy import RetryPolicy

EVERYTHING_FAILS = 3
"""So many different turns that failed with no answer between are the transcriber's fault, not theirs."""


@dataclass(slots=True)
class EngineBackoff:
    """How one kind of transcriber answered last: all sessions that use it wait for the same retry.

    `gate` leads to the gate that live sessions wait at, too, where it refuses. `told` and `why`: the last reason, and a
    sentence about it.
    """

    policy: RetryPolicy
    gate: Door
    retry_at_s: float = 0.0
    refused: bool = False
    told: str = ""
    why: str = ""
    failing: set[TurnId] = field(default_factory=set)  # turns that failed with no answer between
    trials: int = 0  # turns that failed since that was too many

    def answered(self) -> None:
        """An utterance was answered."""
        self.failing.clear()
        self.trials = 0

    def failed(self, turn: TurnId) -> bool:
        """An utterance failed; return whether everything does."""
        if len(self.failing) < EVERYTHING_FAILS:
            self.failing.add(turn)
        everything = len(self.failing) >= EVERYTHING_FAILS
        self.trials += everything
        return everything
