"""Closed turns and the audio ranges of their commits: no sample may be in two commits that count."""

from bisect import insort
from collections.abc import Sequence

from minuted_daemon.core.events import TurnNumber
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.transcription.turn import Turn


class CommitRanges:
    """Closed turns of the recent past, by start. Their `first` and `last` are the audio of their commits."""

    def __init__(self, past: Sequence[tuple[int, int]] = ()) -> None:
        """`past`: the audio of turns that were stored before the daemon was started."""
        self._turns: list[Turn] = []
        self._past = list(past)

    def add(self, turn: Turn) -> None:
        """Enter a turn whose audio is decided."""
        insort(self._turns, turn, key=lambda other: other.start)

    def replace(self, old: Sequence[Turn], new: Sequence[Turn]) -> None:
        """Enter `new` in place of `old`."""
        self._turns = [turn for turn in self._turns if turn not in old]
        for turn in new:
            self.add(turn)

    def audio(self, number: TurnNumber) -> tuple[int, int] | None:
        """The audio of a turn's commit, None if there is no such turn or it has none."""
        turns = (turn for turn in self._turns if turn.number == number and not turn.gone and turn.has_audio)
        return next(((turn.first, turn.last) for turn in turns), None)

    def since(self, position: int) -> list[Turn]:
        """Return the turns that end after this position, by start."""
        return [turn for turn in self._turns if turn.end > position]

    def last_before(self, position: int) -> Turn | None:
        """The turn that ends last of those that end at or before this position."""
        return max((turn for turn in self._turns if turn.end <= position), key=lambda turn: turn.end, default=None)

    def taken(self, without: Sequence[Turn] = ()) -> list[tuple[int, int]]:
        """The audio that is in a turn's commit, or will be; `without` leaves turns out."""
        mine = [(turn.first, turn.last) for turn in self._turns if turn.has_audio and turn not in without]
        return [*self._past, *mine]

    def around(self, start: int) -> tuple[int, int | None]:
        """Return up to where audio is in commits of turns that begin no later than here, and from where after it.

        None: there are no turns after it.
        """
        pieces = [(low, low, high) for low, high in self._past]
        # A turn's audio may begin after its start, if that was in another commit already.
        heard = [turn for turn in self._turns if turn.has_audio]
        pieces += [(min(turn.start, turn.first), turn.first, turn.last) for turn in heard]
        before = max((high for begin, _, high in pieces if begin <= start), default=0)
        return before, min((low for begin, low, _ in pieces if begin > start), default=None)

    def uncovered(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the parts of [start, end) that are in no commit, in order."""
        return outside(start, end, [(low, high) for low, high in self.taken() if high > start and low < end])

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        if self._past and self._past[0][1] < before:
            self._past = [piece for piece in self._past if piece[1] >= before]
        if self._turns and max(self._turns[0].last, self._turns[0].end) < before:
            self._turns = [turn for turn in self._turns if max(turn.last, turn.end) >= before]
