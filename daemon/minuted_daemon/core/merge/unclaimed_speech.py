"""Speech that no diarized speaker claims: it becomes turns, too, so that no words are lost.

Only speech: sound that the best judge of voice activity (voice/) takes for something else makes no turn, unless a
diarizer claims it later.
"""

from collections.abc import Sequence

from minuted_daemon.core.diarization.timeline import UNCLAIMED, Span
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.samples import FRAME, samples
from minuted_daemon.core.voice.activity import VoiceTrack

_CLAIM_WAIT = samples(1.0)
MARGIN = samples(0.35)
"""Diarizers and energy disagree a little on edges: voice this near to a turn is sent with it."""
REACH = MARGIN + 2 * FRAME
"""How far from a turn's edges its audio is looked for."""
_SHORTEST = samples(0.1)
_LOOK_BACK = samples(1.0)
HANG = samples(0.3)
"""Unclaimed speech with shorter pauses is one piece."""


class UnclaimedSpeech:
    """Watches voice activity and returns unclaimed speech as spans of the voice UNCLAIMED.

    Where no diarizer listens ("blind") speech is unclaimed at once; elsewhere after hold-back + 1 s.
    """

    def __init__(self, track: VoiceTrack) -> None:
        self._track = track
        self._blind: list[tuple[int, int | None]] = [(track.end, None)]
        self._claimed_to = track.end
        self._runs: list[list[int]] = []

    def diarizer_came(self, base: int) -> None:
        """From `base` on a diarizer listens."""
        start, end = self._blind[-1]
        if end is None:
            self._blind[-1] = (start, max(start, base))

    def diarizer_went(self, heard_to: int) -> None:
        """From `heard_to` on no diarizer listens."""
        if self._blind[-1][1] is not None:
            self._blind.append((heard_to, None))

    def advance(self, horizon: int, diarized: Sequence[Span], final: bool) -> bool:
        """Judge all speech that can be judged by now; return whether any span changed.

        diarized: the spans of real voices that reach into the stretch since the last call.
        """
        until = horizon if final else min(self._claimable(horizon), self._track.judged_to)
        if until <= self._claimed_to:
            return False
        since, self._claimed_to = self._claimed_to, until
        changed = False
        # A run that began before is judged again as a whole: what was near enough to a turn may have grown out of it.
        for start, end in self._track.speech(since - _LOOK_BACK, until):
            if end <= since:
                continue
            for low, high, margin in self._by_margin(start, end):
                for piece in _outside(low, high, diarized, margin):
                    changed |= self._extend(*piece)
        return changed

    def judge_again(self, since: int) -> None:
        """A speaker was active for less time after `since` than was assumed."""
        self._claimed_to = min(self._claimed_to, since)

    @property
    def claimed_to(self) -> int:
        """Voice activity before this has been judged."""
        return self._claimed_to

    def spans(self, since: int) -> list[Span]:
        """The unclaimed speech that reaches beyond `since`."""
        return [Span(UNCLAIMED, start, end, 0) for start, end in self._runs if end > since and end - start >= _SHORTEST]

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        self._runs = [run for run in self._runs if run[1] > before]
        while len(self._blind) > 1 and (self._blind[0][1] or 0) <= before:
            del self._blind[0]

    def _claimable(self, horizon: int) -> int:
        until = horizon - _CLAIM_WAIT
        for start, end in self._blind:
            if start <= max(until, self._claimed_to) and (end is None or end > until):
                until = horizon if end is None else min(end, horizon)
        return until

    def _by_margin(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Split [start, end) where a diarizer came or went; where none listens its edges are exact."""
        pieces: list[tuple[int, int, int]] = []
        at = start
        for low, until in self._blind:
            high = end if until is None else until
            if low < end and high > at:
                if low > at:
                    pieces.append((at, low, MARGIN))
                pieces.append((max(at, low), min(end, high), 0))
                at = min(end, high)
        if at < end:
            pieces.append((at, end, MARGIN))
        return pieces

    def _extend(self, start: int, end: int) -> bool:
        """Add a piece; pieces with pauses shorter than HANG between them are one. Return whether a span changed."""
        place = len(self._runs)
        while place and self._runs[place - 1][0] > start:
            place -= 1
        if place and start - self._runs[place - 1][1] <= HANG:
            place -= 1
            if end <= self._runs[place][1]:
                return False
            self._runs[place][1] = end
        else:
            self._runs.insert(place, [start, end])
        run = self._runs[place]
        while place + 1 < len(self._runs) and self._runs[place + 1][0] - run[1] <= HANG:
            run[1] = max(run[1], self._runs.pop(place + 1)[1])
        return run[1] - run[0] >= _SHORTEST


def _outside(start: int, end: int, spans: Sequence[Span], margin: int) -> list[tuple[int, int]]:
    """Return the parts of [start, end) that lie outside all spans, and is not wholly within `margin` of one."""
    near = [(span.start, end if span.end is None else span.end) for span in spans if span.start - margin < end]
    return [
        (a, b)
        for a, b in outside(start, end, near)
        if not any(low - margin <= a and b <= high + margin for low, high in near)
    ]
