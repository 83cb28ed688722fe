"""Turns that were settled without a text and may get one after all, should the transcriber turn out to be at fault.

When a turn is given up, and how it is asked for again, is decided in queue.py.
"""

from collections import deque
from collections.abc import Iterator

from minuted_daemon.core.samples import samples
from minuted_daemon.core.transcription.turn import Turn

_TURNS = 64
_KEPT = samples(240.0)
"""So many turns are known, and so long: before they are frozen."""
_CREDIT, _MOST_CREDIT = 2, 8
"""Where a turn had words after all, so many attempts more are made with others: noise is not to be asked about until
something is invented."""
_SPEECH = samples(1.0)
"""What is shorter may be a sound that the diarizer took for speech, and proves nothing."""


class GivenUp:
    """doubted: they failed, and nothing was answered since. emptied: claimed, and answered without a word."""

    def __init__(self) -> None:
        self.doubted: deque[Turn] = deque(maxlen=_TURNS)
        self.emptied: deque[Turn] = deque(maxlen=_TURNS)
        self._credit = 0

    def __iter__(self) -> Iterator[Turn]:
        yield from self.doubted
        yield from self.emptied

    def without_a_word(self, turn: Turn) -> None:
        """A turn is given up because its answers had no word."""
        if not turn.settled and not turn.words_begun and turn.end - turn.start >= _SPEECH:
            self.emptied.append(turn)

    def worded(self, turn: Turn) -> bool:
        """A turn got words after an answer without any; return whether that proves the empty answers wrong."""
        proves = turn.wordless > 0 and turn.end - turn.start >= _SPEECH
        if proves:
            self._credit = min(self._credit + _CREDIT, _MOST_CREDIT)
        return proves

    def one_more(self, turn: Turn) -> bool:
        """Return whether a turn without a word is worth another attempt, which is counted."""
        worth = self._credit > 0 and not turn.words_begun and turn.end - turn.start >= _SPEECH
        if worth and turn.wordless < _MOST_CREDIT:
            self._credit -= 1
            return True
        return False

    def forget(self, turn: Turn) -> None:
        """The turn no longer exists."""
        for turns in (self.doubted, self.emptied):
            if turn in turns:
                turns.remove(turn)

    def expire(self, now: int) -> None:
        """Drop turns that ended long ago."""
        for turns in (self.doubted, self.emptied):
            while turns and turns[0].end < now - _KEPT:
                turns.popleft()
