"""The turns that were closed, and in whose commit each stretch of audio is: no sample may be in two that count."""

from bisect import insort
from collections.abc import Sequence

from minuted_daemon.core.samples import outside
from minuted_daemon.core.turn import Turn


class Book:
    """Closed turns of the recent past, by start. Their `first` and `last` are the audio of their commits."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []

    def add(self, turn: Turn) -> None:
        """Enter a turn whose audio is decided."""
        insort(self._turns, turn, key=lambda other: other.start)

    def replace(self, old: Sequence[Turn], new: Sequence[Turn]) -> None:
        """Enter `new` in place of `old`."""
        self._turns = [turn for turn in self._turns if turn not in old]
        for turn in new:
            self.add(turn)

    def since(self, position: int) -> list[Turn]:
        """The turns that end behind this position, by start."""
        return [turn for turn in self._turns if turn.end > position]

    def last_before(self, position: int) -> Turn | None:
        """The turn that ends last of those that end at or before this position."""
        return max((turn for turn in self._turns if turn.end <= position), key=lambda turn: turn.end, default=None)

    def taken(self, without: Sequence[Turn] = ()) -> list[tuple[int, int]]:
        """The audio that is in a turn's commit, or will be; `without` leaves turns out."""
        # All of the audio of a turn without any is in others' commits.
        return [(turn.first, turn.last) for turn in self._turns if turn.last > turn.first and turn not in without]

    @property
    def taken_to(self) -> int:
        """Audio behind this is in nobody's commit."""
        return max((turn.last for turn in self._turns), default=0)

    def uncovered(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of [start, end) is in nobody's commit, in order."""
        return outside(start, end, [(low, high) for low, high in self.taken() if high > start and low < end])

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        if self._turns and max(self._turns[0].last, self._turns[0].end) < before:
            self._turns = [turn for turn in self._turns if max(turn.last, turn.end) >= before]
