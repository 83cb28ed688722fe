"""Distinguishes a transcriber that fails at every utterance from a single utterance that it cannot handle.

Whatever is sent to a failing transcriber is paid for in vain: so only a trial is sent now and then, a short turn or a
piece of one (trials.py). How turns are sent is decided in queue.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.core.events import TurnNumber
from minuted_daemon.core.samples import samples
from minuted_daemon.core.transcription.turn import Turn


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """All but `turns` in samples.

    turns: so many different turns that failed with no answer between open the breaker. audio: so do two, if they had
    so much audio. careful: after so much audio that failed, a trial comes before anything else is sent. trial: the
    audio of one at most.
    first_wait: from the opening to the first trial; each wait is twice the one before. fresh_wait: the longest where
    there is a turn that was not tried yet. longest_wait: the longest of all.
    """

    turns: int = 3
    audio: int = samples(6.0)
    careful: int = samples(5.0)
    trial: int = samples(1.0)
    first_wait: int = samples(2.0)
    fresh_wait: int = samples(15.0)
    longest_wait: int = samples(600.0)


# State   | an utterance fails     | a trial fails or is lost    | any answer | sent
# --------+------------------------+-----------------------------+------------+---------------------------------------
# closed  | counts: careful, open  | -                           | counts 0   | everything
# careful | counts: open           | counts: open                | closed     | one trial at a time, at once
# open    | counts                 | the wait is twice as long   | closed     | one trial at a time, each after a wait


class Breaker:
    """Closed while the transcriber answers. Time enters as data, in samples of the session's clock."""

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self.limits = limits or BreakerLimits()
        self.is_open = False
        self.reason = ""
        """Why the last utterance failed, UPPER_SNAKE."""
        self.failures = 0
        """Since the last answer."""
        self.answers = 0
        """All there were."""
        self._failed: dict[TurnNumber, int] = {}  # until it opens: turns and their audio
        self._again = 0  # the waits are counted from here
        self._wait = self._fresh_wait = 0

    @property
    def holds_up(self) -> bool:
        """Only trials are to be sent."""
        return self.is_open or sum(self._failed.values()) >= self.limits.careful

    def failed(self, turn: Turn, reason: str, now: int, *, trial: bool = False) -> bool:
        """An utterance of a turn failed; `trial`: it was one. Return whether the breaker opens."""
        self.failures += 1
        self.reason = reason
        if self.is_open:
            if trial:
                self._again = now
                self._wait = min(2 * self._wait, self.limits.longest_wait)
                if not _tried(turn):
                    self._fresh_wait = min(2 * self._fresh_wait, self.limits.fresh_wait)
            return False
        self._failed[turn.number] = turn.last - turn.first
        audio = sum(self._failed.values())
        if len(self._failed) >= self.limits.turns or (len(self._failed) > 1 and audio >= self.limits.audio):
            self.is_open = True
            self._wait = self._fresh_wait = self.limits.first_wait
            self._again = now
            self._failed.clear()
        return self.is_open

    def answered(self) -> int:
        """An utterance was answered. Return how many failed before, if that closes the open breaker, else 0."""
        failures = self.failures if self.is_open else 0
        self.answers += 1
        self.is_open, self.failures = False, 0
        self._failed.clear()
        return failures

    def reconnected(self) -> None:
        """Another connection may do better: it may be tried at once."""
        self._again = -self.limits.longest_wait

    def suspects(self, turn: Turn) -> bool:
        """Return whether the turn is one of those that failed, and it is not known yet whose fault that is."""
        return turn.number in self._failed

    @property
    def try_at(self) -> int:
        """When a trial may begin, if there is a turn that was not tried."""
        return self._again + self._fresh_wait if self.is_open else 0

    def choice(self, turns: Sequence[Turn], now: int) -> Turn | None:
        """Choose the turn to try with now: the shortest of those tried least, so that no bad one keeps it open."""
        old_too = not self.is_open or now >= self._again + self._wait
        due = [turn for turn in turns if old_too or not _tried(turn)]
        return min(due, key=lambda turn: (_tried(turn), turn.last - turn.first), default=None)


def _tried(turn: Turn) -> int:
    return turn.trials + turn.failures
