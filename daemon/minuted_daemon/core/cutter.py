"""Turns as they are cut: what the floor says now, reconciled with what was already sent to the transcriber.

Everything before `done_to` is decided. From there on the plan is made anew each time something changed; only the one
open turn has a past that the plan must respect.
"""

from collections import deque
from collections.abc import Callable

from minuted_daemon.core.events import TurnNumber
from minuted_daemon.core.floor import hold_floor
from minuted_daemon.core.lane import Lane
from minuted_daemon.core.plan import SHORTEST, MonologueCutter, Segment, join, split
from minuted_daemon.core.samples import samples
from minuted_daemon.core.timeline import UNHEARD, Span, Timeline, Voice
from minuted_daemon.core.turn import TAIL, Turn
from minuted_daemon.core.unheard import HANG, UnheardSpeech
from minuted_daemon.core.voice import VoiceTrack

_TOLERANCE = samples(0.15)  # of another voice in a turn's audio
_LATE_WINDOW = samples(20.0)
_LATE_WAIT = samples(1.5)


class Cutter:
    """Opens, grows and closes turns.

    `closed` is called with each turn once its stretch is decided, `vanished` with an open turn that is none after all.
    """

    def __init__(
        self,
        timeline: Timeline,
        unheard: UnheardSpeech,
        track: VoiceTrack,
        lane: Lane,
        join_gap: int,
        max_turn: int,
        closed: Callable[[Turn], None],
        vanished: Callable[[Turn], None],
    ) -> None:
        self.open: Turn | None = None
        self.done_to = 0
        self.late = False  # there is, or may be, speech before done_to that no turn covers
        self._timeline, self._unheard, self._lane = timeline, unheard, lane
        self._monologue = MonologueCutter(track, max_turn)
        self._join_gap = join_gap
        self._closed, self._vanished = closed, vanished
        self._holder: Voice | None = None
        self._barrier = 0  # audio before it is in a commit, or will be
        self._covered: deque[tuple[int, int]] = deque()
        self._next_number = 1

    def plan(self, horizon: int, hold_back: int, final: bool) -> None:
        """Bring the turns up to what is known now. horizon: events before it are known."""
        spans = self._spans(self.done_to)
        stretches = hold_floor(spans, self.done_to, horizon, self._holder, final)
        segments = join(stretches, horizon, self._unheard.claimed_to, self._join_gap, final)
        steps = self._reconcile(segments)
        for index, (segment, turn) in enumerate(steps):
            following = steps[index + 1][0].start if index + 1 < len(steps) else None
            if not self._take(segment, turn, spans, following, hold_back):
                break

    def catch_late(self, horizon: int, final: bool) -> None:
        """Make turns of speech before `done_to` that no turn covers: news that came too late for the plan."""
        self.late = False
        since = self.done_to - _LATE_WINDOW
        for span in self._spans(since):
            if span.start >= self.done_to:
                break
            if not final and self._may_grow(span, horizon):
                self.late = True
                continue
            end = self.done_to if span.end is None else min(span.end, self.done_to)
            for start, until in self._uncovered(max(span.start, since), end):
                if until - start >= SHORTEST:
                    self._late(
                        Segment(span.voice, start, until, [(start, until)], True), self._gap_around(start, until)
                    )

    def _may_grow(self, span: Span, horizon: int) -> bool:
        if span.voice == UNHEARD:
            return span.end is not None and self._unheard.claimed_to < min(span.end + HANG, self.done_to)
        return span.end is None and span.start > horizon - _LATE_WAIT

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        while self._covered and self._covered[0][1] < before:
            self._covered.popleft()

    # --- planning ---

    def _spans(self, since: int) -> list[Span]:
        spans = self._timeline.spans(since) + self._unheard.spans(since)
        spans.sort(key=lambda span: (span.start, span.order))
        return spans

    def _reconcile(self, segments: list[Segment]) -> list[tuple[Segment, Turn | None]]:
        """Say which segment the open turn is, and give it what was sent of it already."""
        turn = self.open
        if turn is None:
            return [(segment, None) for segment in segments]
        if turn.sent_from is None or turn.sent_to is None:
            if not segments:
                self._vanish(turn)
            return [(segment, turn if index == 0 else None) for index, segment in enumerate(segments)]
        low, high = turn.start, max(turn.sent_to, turn.start + 1)
        shares = [min(segment.end, high) - max(segment.start, low) for segment in segments]
        if max(shares, default=0) <= 0:
            self._vanish(turn)
            return [(segment, None) for segment in segments]
        main = segments[shares.index(max(shares))]
        foreign = sum(
            share for segment, share in zip(segments, shares, strict=True) if segment is not main and share > 0
        )
        if foreign > _TOLERANCE and not turn.repaired:
            turn.repaired = True
            self._lane.restart(turn)
            self._barrier = turn.not_before
            return [(segment, turn if segment is main else None) for segment in segments]
        return self._accept(segments, main, turn, low, high)

    def _accept(
        self, segments: list[Segment], main: Segment, turn: Turn, low: int, high: int
    ) -> list[tuple[Segment, Turn | None]]:
        """Live with what was sent: the audio of [low, high) is the open turn's, whatever else was said in it."""
        steps: list[tuple[Segment, Turn | None]] = []
        for segment in segments:
            if segment is main:
                if segment.start < low - SHORTEST:
                    early = [(start, min(end, low)) for start, end in segment.parts if start < low]
                    steps.append((Segment(segment.voice, segment.start, low, early, True), None))
                segment.parts = [(max(start, low), end) for start, end in segment.parts if end > low] or [
                    (low, segment.end)
                ]
                segment.start = segment.parts[0][0]
                steps.append((segment, turn))
            elif segment.start < main.start:
                segment.end = min(segment.end, low)
                segment.parts = [(start, min(end, low)) for start, end in segment.parts if start < low]
                if segment.end - segment.start >= SHORTEST:
                    steps.append((segment, None))
            elif not segment.closed or segment.end - max(segment.start, high) >= SHORTEST // 2:
                steps.append((segment, None))
        return steps

    def _take(
        self, segment: Segment, turn: Turn | None, spans: list[Span], following: int | None, hold_back: int
    ) -> bool:
        """Make a turn of a segment; tell whether the plan goes on behind it."""
        superseded = turn is None and following is not None and segment.voice == UNHEARD
        if superseded and self._unheard.claimed_to < min(segment.end + HANG, following or 0):
            self.late = True  # its end is not known yet, and others must not wait for it
            return True
        if turn is None and self.open is not None and segment.start < self.open.start:
            self._late(segment, (self._barrier_before(segment.start), self.open.start))
            return True
        fresh = turn is None
        if turn is None:
            turn = self._new_turn(segment, self._barrier)
        turn.voice, turn.start, turn.end, turn.parts = segment.voice, segment.start, segment.end, segment.parts
        turn.paused = segment.paused
        sent_to = turn.sent_to or turn.start
        cut = self._monologue.cut(segment, spans, sent_to, hold_back)
        rest: Segment | None = None
        if cut is not None:
            segment, rest = split(segment, max(cut, sent_to) if segment.resume is None else cut)
            turn.end, turn.parts = segment.end, segment.parts
            following = rest.start if rest is not None else segment.resume
        if fresh:
            self.open = turn
            self._lane.submit(turn)
        if not segment.closed:
            self.open = turn
            return False
        self._close(turn, following, segment.resume)
        if rest is not None:
            return self._take(rest, None, spans, None, hold_back)
        return True

    def _new_turn(self, segment: Segment, not_before: int) -> Turn:
        number = TurnNumber(self._next_number)
        self._next_number += 1
        return Turn(number, segment.voice, segment.start, segment.end, segment.parts, not_before)

    def _close(self, turn: Turn, following: int | None, resume: int | None) -> None:
        turn.closed = True
        if following is not None:
            turn.not_after = max(following, turn.end)
        self._barrier = max(self._barrier, turn.sent_to or 0, min(turn.end + TAIL, turn.not_after))
        self._covered.append((turn.start, self._barrier))
        self.done_to = max(self.done_to, turn.end if resume is None else resume)
        self._holder = turn.voice
        self.open = None
        self._closed(turn)

    def _vanish(self, turn: Turn) -> None:
        self._barrier = turn.not_before
        self._lane.withdraw(turn)
        self.open = None
        self._vanished(turn)

    # --- late news ---

    def _late(self, segment: Segment, around: tuple[int, int]) -> None:
        turn = self._new_turn(segment, around[0])
        turn.not_after = max(around[1], turn.end)
        turn.closed = True
        self._covered.append((turn.start, turn.end))
        self._lane.submit(turn)
        self._lane.first(turn)
        self.done_to = max(self.done_to, turn.end)
        self._closed(turn)

    def _uncovered(self, start: int, end: int) -> list[tuple[int, int]]:
        pieces = [(start, end)]
        taken = [*self._covered, (self.open.start, self.done_to)] if self.open else list(self._covered)
        for low, high in taken:
            pieces = [part for a, b in pieces for part in ((a, min(b, low)), (max(a, high), b)) if part[1] > part[0]]
        return pieces

    def _gap_around(self, start: int, end: int) -> tuple[int, int]:
        before = self._barrier_before(start)
        after = min((low for low, _ in self._covered if low >= end), default=end)
        return before, after

    def _barrier_before(self, start: int) -> int:
        return max((min(high, start) for low, high in self._covered if low <= start), default=0)


def is_unheard(turn: Turn) -> bool:
    """Tell whether nobody was told to have said this."""
    return turn.voice == UNHEARD
