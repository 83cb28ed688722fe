"""Turns of a session that were stored before the daemon was started: their speech makes no turns again."""

from collections.abc import Sequence

from minuted_daemon.core.diarization.timeline import STORED, Span
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.samples import ENDLESS, samples
from minuted_daemon.core.voice.activity import VoiceTrack

_BRIDGED = samples(0.3)
"""A shorter gap between two stored turns was a cut in a pause: its voice was sent with either."""


class StoredTurns:
    """The stretches that new turns must stay out of."""

    def __init__(self, begin: int, turns: Sequence[tuple[int, int]]) -> None:
        """`begin`: what was said before it is done with. `turns`: the stretches of stored turns, by start."""
        self._spans = [Span(STORED, start, end, 0) for start, end in turns]
        self._covered: list[tuple[int, int]] = []
        for start, end in turns:
            if self._covered and start - self._covered[-1][1] <= _BRIDGED:
                start, end = self._covered[-1][0], max(end, self._covered.pop()[1])
            self._covered.append((start, end))
        self._covered.insert(0, (0, begin))

    def spans(self, since: int) -> list[Span]:
        """Who spoke in stored turns that reach beyond `since`, by start: STORED."""
        return [span for span in self._spans if span.end is not None and span.end > since]

    def left(self, spans: Sequence[Span], since: int, track: VoiceTrack) -> list[Span]:
        """Return the parts of the spans after `since` that are not stored.

        A part after a stored turn begins with voice: the pause between them belongs to neither.
        """
        covered = [piece for piece in self._covered if piece[1] >= since]
        if not covered:
            return list(spans)
        left: list[Span] = []
        for span in spans:
            end = ENDLESS if span.end is None else span.end
            for low, high in outside(span.start, end, covered):
                begin = low if low == span.start else _voice_from(low, high, track)
                left.append(Span(span.voice, begin, None if high == ENDLESS else high, span.order))
        return left

    def holds(self, start: int, end: int, margin: int) -> bool:
        """Return whether [start, end) lies within a stored turn and so much around it."""
        return any(span.start - margin <= start and end <= (span.end or 0) + margin for span in self._spans)

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        while self._spans and (self._spans[0].end or 0) < before:
            del self._spans[0]
        if self._covered and self._covered[0][1] < before:
            self._covered = [piece for piece in self._covered if piece[1] >= before]


def _voice_from(low: int, high: int, track: VoiceTrack) -> int:
    return next((start for start, _ in track.runs(low, min(high, track.end), voiced=True)), low)
