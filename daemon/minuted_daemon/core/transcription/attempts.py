"""The utterances that were committed: which answers are awaited, and which are still taken.

What an answer means for its turn is decided in queue.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from minuted_daemon.core.events import UtteranceId
from minuted_daemon.core.transcription.turn import Turn


@dataclass(slots=True)
class Asked:
    """An utterance that was committed. `due`: when its answer is missed, or it is asked for again."""

    turn: Turn
    utterance: UtteranceId
    due: int
    makes_up: bool = False
    failed: bool = False  # it was refused, and is asked for again when it is due
    piece: bool = False  # a trial with some of the turn's audio: no text of it counts


class Attempts:
    """Each utterance is awaited, superseded by another attempt at its turn, or late: its turn was given up."""

    def __init__(self) -> None:
        self._awaited: dict[UtteranceId, Asked] = {}
        self._late: dict[UtteranceId, Asked] = {}
        self._superseded: dict[UtteranceId, Turn] = {}

    def __bool__(self) -> bool:
        """True while an answer is awaited."""
        return bool(self._awaited)

    def awaited(self) -> Iterator[Asked]:
        """The utterances whose answers are awaited, in the order in which they were committed."""
        return iter(list(self._awaited.values()))

    def turns(self) -> Iterator[Turn]:
        """The turns that may still get an answer, but for those that are asked for again."""
        return (one.turn for one in (*self._awaited.values(), *self._late.values()))

    def wait_for(self, asked: Asked) -> None:
        """Wait for an answer from now on."""
        self._awaited[asked.utterance] = asked

    def get(self, utterance: UtteranceId) -> Asked | None:
        """Return an utterance whose answer is awaited."""
        return self._awaited.get(utterance)

    def take(self, utterance: UtteranceId) -> Asked | None:
        """Return an utterance whose answer was awaited; it is no longer."""
        return self._awaited.pop(utterance, None)

    def take_track(self, makes_up: bool) -> list[Asked]:
        """Return all that were awaited on a track; they are no longer."""
        taken = [asked for asked in self._awaited.values() if asked.makes_up is makes_up]
        for asked in taken:
            del self._awaited[asked.utterance]
        return taken

    def due(self, now: int) -> list[Asked]:
        """Return the utterances whose answers are missed by now, or that are to be asked for again."""
        return [asked for asked in self._awaited.values() if asked.due <= now]

    def supersede(self, asked: Asked) -> None:
        """Another attempt takes the place of this one."""
        self._superseded[asked.utterance] = asked.turn

    def take_superseded(self, utterance: UtteranceId) -> Turn | None:
        """Return the turn of an attempt that was superseded; no answer to it is taken any more."""
        return self._superseded.pop(utterance, None)

    def give_up(self, asked: Asked, until: int) -> None:
        """No answer is awaited any more, but until then one to any attempt at the turn is taken."""
        before = [utterance for utterance, other in self._superseded.items() if other is asked.turn]
        for utterance in (*before, asked.utterance):
            self._late[utterance] = Asked(asked.turn, utterance, until)

    def take_late(self, utterance: UtteranceId) -> Turn | None:
        """Return the turn of an attempt that was given up; no answer to it is taken any more."""
        asked = self._late.pop(utterance, None)
        return None if asked is None else asked.turn

    def expire(self, now: int) -> None:
        """Take no more answers to attempts that were given up long ago."""
        for asked in [asked for asked in self._late.values() if asked.due <= now]:
            del self._late[asked.utterance]

    def answered(self, turn: Turn) -> None:
        """The turn has its text: no answer to a superseded attempt is taken."""
        self._superseded = {key: other for key, other in self._superseded.items() if other is not turn}

    def forget(self, turn: Turn) -> None:
        """No answer to the turn is taken."""
        self._awaited = _without(turn, self._awaited.values())
        self._late = _without(turn, self._late.values())
        self.answered(turn)


def _without(turn: Turn, asked: Iterable[Asked]) -> dict[UtteranceId, Asked]:
    return {one.utterance: one for one in asked if one.turn is not turn}
