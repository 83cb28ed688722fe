"""A transcription queue that is watched from outside: its commands step by step, and all turns it answered so far."""

from minuted_daemon.core.diarization.timeline import UNCLAIMED
from minuted_daemon.core.events import Append, Clear, Commit, TurnNumber, UtteranceId
from minuted_daemon.core.samples import RATE_HZ, samples
from minuted_daemon.core.transcription.breaker import Breaker
from minuted_daemon.core.transcription.queue import Progress, TranscriptionQueue
from minuted_daemon.core.transcription.turn import Turn


def turn(number: int, start_s: float, *, closed: bool = True, length_s: float = 1.0) -> Turn:
    start, end = samples(start_s), samples(start_s + length_s)
    return Turn(TurnNumber(number), UNCLAIMED, start, end, start, end, 0, closed=closed)


class WatchedQueue(TranscriptionQueue):
    """Remembers the turns that it answered."""

    def __init__(self, breaker: Breaker | None = None) -> None:
        super().__init__(breaker=breaker)
        self._at = (0, 0)
        self._answered: list[Turn] = []

    def advance(self, now: int, horizon: int) -> Progress:
        self._at = (now, horizon)
        progress = super().advance(now, horizon)
        self._answered += progress.answered
        return progress

    def step(self, now: int) -> list[Append | Commit | Clear]:
        """Advance to `now`, with all audio before it known; return the commands."""
        return self.advance(now, now).commands

    @property
    def answered(self) -> list[Turn]:
        """All turns that were answered up to now, in order."""
        self.advance(*self._at)
        return self._answered


def begun(commands: list[Append | Commit | Clear]) -> list[tuple[UtteranceId, float, bool]]:
    """Return utterance, start in seconds and `makes_up` of each Append."""
    return [(one.utterance, one.start / RATE_HZ, one.makes_up) for one in commands if isinstance(one, Append)]
