"""Cuts turns: the floor as it is known now, reconciled with the audio that was already sent to the transcriber.

Everything before `done_to` is decided. The rest is planned again after every change; only the open turn has audio that
was sent, which the plan must respect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from minuted_daemon.core.diarization.epochs import Epochs, Relabelled
from minuted_daemon.core.diarization.timeline import STORED, UNCLAIMED, Span, Voice
from minuted_daemon.core.events import TurnNumber
from minuted_daemon.core.merge.context import MergeContext
from minuted_daemon.core.merge.floor import RESTART, hold_floor
from minuted_daemon.core.merge.segmentation import SHORTEST, MonologueCutter, Segment, join, split
from minuted_daemon.core.merge.unclaimed_speech import HANG, MARGIN, REACH, UnclaimedSpeech
from minuted_daemon.core.ranges import outside
from minuted_daemon.core.samples import samples
from minuted_daemon.core.transcription.stored_turns import StoredTurns
from minuted_daemon.core.transcription.turn import LEAD, TAIL, Turn

_TOLERANCE = samples(0.15)  # of another voice in a turn's audio
_LATE_WAIT = samples(1.5)
_WORD = samples(0.08)
"""The shortest voice between two commits that may be a word."""
LATE_NEWS = samples(30.0)
"""Events further than this before the horizon make no turn and change no closed one."""


@dataclass(slots=True)
class Decided:
    """Turns about which a call decided, in order. closed: their stretch is final. vanished: open ones that are none."""

    closed: list[Turn] = field(default_factory=list)
    vanished: list[Turn] = field(default_factory=list)


class Cutter:
    """Opens, grows and closes turns."""

    def __init__(
        self, context: MergeContext, epochs: Epochs, unclaimed: UnclaimedSpeech, past: StoredTurns, max_turn: int
    ) -> None:
        """`past`: the turns stored before the daemon was started. `max_turn`: the longest turn, in samples."""
        self._epochs, self._unclaimed, self._past = epochs, unclaimed, past
        self._track, self._commits, self._transcription = context.track, context.commits, context.transcription
        self._numbers, self._join_gap = context.numbers, context.join_gap
        self._monologue = MonologueCutter(self._track, max_turn)
        self._open: Turn | None = None
        self._done_to = self._swept_to = self._track.end
        self._late = False
        self._holder: Voice | None = None
        self._decided = Decided()

    @property
    def open(self) -> Turn | None:
        """The turn that still grows."""
        return self._open

    @property
    def done_to(self) -> int:
        """Everything before this is decided."""
        return self._done_to

    @property
    def late(self) -> bool:
        """True while there is, or may be, speech before `done_to` that no turn covers."""
        return self._late

    def news(self, changed_from: int) -> None:
        """Who spoke changed from this position on."""
        self._late |= changed_from < self._done_to

    def advance(self, horizon: int, hold_back: int, final: bool) -> Decided:
        """Bring the turns up to what is known now. horizon: events before it are known."""
        self._plan(horizon, hold_back, final)
        if self._late:
            self._catch_late(horizon, final)
        return self._take_decided()

    def _plan(self, horizon: int, hold_back: int, final: bool) -> None:
        spans = self.spans(self._done_to)
        stretches = hold_floor(spans, self._done_to, horizon, self._holder, final)
        segments = join(stretches, horizon, self._unclaimed.claimed_to, self._join_gap, final, spans)
        steps = self._reconcile(segments)
        for index, (segment, turn) in enumerate(steps):
            following = steps[index + 1][0].start if index + 1 < len(steps) else None
            if not self._take(segment, turn, spans, following, hold_back):
                break
        if self._open is None:
            self._done_to = max(self._done_to, horizon - LATE_NEWS)
        self._sweep(horizon if final else min(self._done_to, self._unclaimed.claimed_to) - MARGIN)

    def _catch_late(self, horizon: int, final: bool) -> None:
        """Make turns of speech before `done_to` that no turn covers: its events came too late for the plan."""
        self._late = False
        since = horizon - LATE_NEWS
        for span in self.spans(since):
            if span.start >= self._done_to:
                break
            if not final and self._may_grow(span, horizon):
                self._late = True
                continue
            end = self._done_to if span.end is None else min(span.end, self._done_to)
            for start, until in self._uncovered(max(span.start, since), end):
                if until - start >= SHORTEST:
                    self._make_late(Segment(span.voice, start, until, closed=True))

    def _may_grow(self, span: Span, horizon: int) -> bool:
        if span.voice == UNCLAIMED:
            return span.end is not None and self._unclaimed.claimed_to < min(span.end + HANG, self._done_to)
        return span.end is None and span.start > horizon - _LATE_WAIT

    def redacted(self, start: int, end: int, awaited: Sequence[Turn]) -> Decided:
        """Take [start, end) out of all turns; of those that touch it, make turns of the parts outside.

        awaited: closed turns that touch it and have no text yet.
        """
        turns = list(awaited)
        if self._open is not None and self._open.touches(start, end):
            turns.append(self._open)
            self._vanish(self._open)
        blank = Turn(TurnNumber(0), UNCLAIMED, start, end, start, end, start, closed=True, settled=True, gone=True)
        self._commits.replace(awaited, [blank])
        # A speaker who is active across its end begins a turn there, which is still to be cut.
        if end > self._done_to:
            self._done_to, self._holder = end, None
        for turn in turns:
            for low, high in outside(turn.start, min(turn.end, self._done_to), [(start, end)]):
                if high - low >= SHORTEST:
                    self._make_late(Segment(turn.voice, low, high, closed=True))
        return self._take_decided()

    def _take_decided(self) -> Decided:
        decided, self._decided = self._decided, Decided()
        return decided

    def spans(self, since: int) -> list[Span]:
        """Return all speech after this position: diarized, stored, and unclaimed."""
        diarized = self._past.left(self._epochs.spans(since), since, self._track)
        spans = self._past.spans(since) + diarized + self._unclaimed.spans(since)
        spans.sort(key=lambda span: (span.start, span.order))
        return spans

    def relabelled(self, change: Relabelled) -> None:
        """Take a relabelling: it may concern the voice that held the floor last."""
        if self._holder == change.old and change.start < self._done_to <= change.end:
            self._holder = change.new

    def revised(self, holder: Voice) -> None:
        """Closed turns were revised: this voice held the floor up to `done_to`."""
        self._holder = holder

    @property
    def taken_from(self) -> int | None:
        """Audio from here on is the open turn's."""
        if self._open is None:
            return None
        return self._open.start if self._open.sent_from is None else self._open.sent_from

    # --- planning ---

    def _reconcile(self, segments: list[Segment]) -> list[tuple[Segment, Turn | None]]:
        """Find the segment that is the open turn, and reconcile it with the audio already sent."""
        turn = self._open
        if turn is None:
            return [(segment, None) for segment in segments]
        if turn.sent_from is None or turn.sent_to is None:
            if not segments:
                self._vanish(turn)
            return [(segment, turn if index == 0 else None) for index, segment in enumerate(segments)]
        low, high = turn.sent_from, turn.sent_to
        shares = [min(segment.end, high) - max(segment.start, low) for segment in segments]
        if max(shares, default=0) <= 0:
            self._vanish(turn)
            return [(segment, None) for segment in segments]
        main = segments[shares.index(max(shares))]
        foreign = sum(
            share for segment, share in zip(segments, shares, strict=True) if segment is not main and share > 0
        )
        foreign = max(foreign, self._voiced_after(main, segments, high))
        turn.misfit = foreign > _TOLERANCE and turn.repaired
        if foreign > _TOLERANCE and not turn.repaired:
            turn.repaired = True
            self._transcription.withdraw(turn)
            self._open = None
            return [(segment, turn if segment is main else None) for segment in segments]
        return self._accept(segments, main, turn, low, high)

    def _voiced_after(self, main: Segment, segments: list[Segment], sent_to: int) -> int:
        """Return how much voice was sent after the end of the last segment: it belongs to another turn."""
        if main is not segments[-1] or not main.paused:
            return 0
        _, last = self._track.around(main.start, main.end, LEAD, TAIL, REACH)
        return sum(high - low for low, high in self._track.runs(last, sent_to, voiced=True))

    def _accept(
        self, segments: list[Segment], main: Segment, turn: Turn, low: int, high: int
    ) -> list[tuple[Segment, Turn | None]]:
        """Keep what was sent: the audio of [low, high) stays the open turn's, whoever else spoke in it."""
        steps: list[tuple[Segment, Turn | None]] = []
        for segment in segments:
            if segment is main:
                skipped_from = max(segment.start, turn.not_before)
                if skipped_from < low - SHORTEST:
                    steps.append((Segment(segment.voice, skipped_from, low, closed=True), None))
                    segment.start = low
                steps.append((segment, turn))
            elif segment.start < main.start:
                segment.end = min(segment.end, low)
                if segment.end - segment.start >= SHORTEST:
                    steps.append((segment, None))
            elif not segment.closed or segment.end - max(segment.start, high) >= SHORTEST // 2:
                steps.append((segment, None))
        return steps

    def _take(
        self, segment: Segment, turn: Turn | None, spans: list[Span], following: int | None, hold_back: int
    ) -> bool:
        """Make a turn of a segment; return whether the plan goes on after it."""
        if segment.voice == STORED:
            if turn is not None:  # its speech now belongs to a stored turn, by a late end event
                self._vanish(turn)
            if segment.closed:
                self._done_to, self._holder = max(self._done_to, segment.end), STORED
            return segment.closed
        superseded = turn is None and following is not None and segment.voice == UNCLAIMED
        if superseded and self._unclaimed.claimed_to < min(segment.end + HANG, following or 0):
            self._late = True  # its end is not known yet, and other turns must not wait for it
            return True
        if turn is None and self._open is not None and segment.start < self._open.start:
            self._make_late(segment)
            return True
        if turn is None:
            turn = self._new_turn(segment, 0)
        if turn.sent_to is None:
            turn.not_before, taken_from = self._commits.around(segment.start)
            turn.not_after = turn.not_after if taken_from is None else max(taken_from, turn.end)
        sent_to = turn.sent_to or segment.start
        cut = self._monologue.cut(segment, spans, sent_to, hold_back)
        rest: Segment | None = None
        if cut is not None:
            segment, rest = split(segment, max(cut, sent_to) if segment.resume is None else cut)
            following = rest.start if rest is not None else segment.resume
        self._place(turn, segment)
        if not self._transcription.holds(turn):
            self._transcription.submit(turn)
        if not segment.closed:
            self._open = turn
            return False
        self._close(turn, following, segment.resume)
        if rest is not None:
            return self._take(rest, None, spans, None, hold_back)
        return True

    def _new_turn(self, segment: Segment, not_before: int) -> Turn:
        number = TurnNumber(next(self._numbers))
        return Turn(number, segment.voice, segment.start, segment.end, segment.start, segment.end, not_before)

    def _place(self, turn: Turn, segment: Segment) -> None:
        turn.voice, turn.start, turn.end, turn.paused = segment.voice, segment.start, segment.end, segment.paused
        turn.first, turn.last = self._track.around(segment.start, segment.end, LEAD, TAIL, REACH)

    def _close(self, turn: Turn, following: int | None, resume: int | None) -> None:
        turn.closed = True
        if following is not None:
            turn.not_after = max(min(following, turn.not_after), turn.end, turn.sent_to or 0)
        until = max(turn.sent_to or 0, min(turn.last, turn.not_after))
        self._reserve(turn, until)
        turn.misfit = turn.misfit or self._holder_restarted(turn)
        self._done_to = max(self._done_to, turn.end if resume is None else resume)
        self._holder = turn.voice
        self._open = None
        self._decided.closed.append(turn)

    def _holder_restarted(self, turn: Turn) -> bool:
        """Return whether the turn's voice got the floor too soon: the holder before was only pausing."""
        before, ended = self._holder, self._done_to
        if before in (None, turn.voice) or turn.start > ended + RESTART:
            return False
        return any(span.voice == before and ended < span.start <= ended + RESTART for span in self.spans(ended))

    def _vanish(self, turn: Turn) -> None:
        self._transcription.withdraw(turn)
        self._open = None
        self._decided.vanished.append(turn)

    def _sweep(self, until: int) -> None:
        """Make turns of voice that is left between the commits."""
        if self._open is not None:
            until = min(until, self._audio_start(self._open))
        if until <= self._swept_to:
            return
        since, self._swept_to = self._swept_to, until
        for low, high in self._commits.uncovered(since - MARGIN, until):
            for start, end in self._track.speech(low, high, at_least=_WORD):
                if self._past.holds(start, end, MARGIN):
                    continue  # it was sent with a stored turn; how much of it is not stored
                active = dict(self._epochs.active_time(start, end))
                self._make_late(
                    Segment(max(active, key=active.__getitem__, default=UNCLAIMED), start, end, closed=True)
                )

    # --- late news ---

    def _make_late(self, segment: Segment) -> None:
        """Make a closed turn of late speech between turns; its audio stays between theirs."""
        before, after = self._commits.around(segment.start)
        if self.taken_from is not None and self.taken_from <= segment.start:
            before = segment.end + MARGIN
        elif self.taken_from is not None:
            after = self.taken_from if after is None else min(after, self.taken_from)
        turn = self._new_turn(segment, before)
        self._place(turn, segment)
        turn.not_after = turn.not_after if after is None else after
        turn.closed = True
        until = min(turn.last, turn.not_after)
        self._reserve(turn, until)
        if self._open is not None and self._open.sent_to is None:
            self._open.not_before = max(self._open.not_before, until)
        self._transcription.submit(turn)
        self._transcription.first(turn)
        self._done_to = max(self._done_to, turn.end)
        self._decided.closed.append(turn)

    def _uncovered(self, start: int, end: int) -> list[tuple[int, int]]:
        return self._commits.uncovered(start, min(end, self._audio_start(self._open)) if self._open else end)

    def _reserve(self, turn: Turn, until: int) -> None:
        # A second attempt sends exactly what the first one did.
        turn.first = self._audio_start(turn)
        turn.last = until
        self._commits.add(turn)

    def _audio_start(self, turn: Turn) -> int:
        return turn.sent_from if turn.sent_from is not None else max(turn.not_before, turn.first)
