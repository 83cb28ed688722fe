"""From the floor's stretches to the segments that become turns: joined, and cut if they grow too long.

Segments are what ought to be; audio that was already sent is reconciled with them in turn_cutter.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from minuted_daemon.core.diarization.timeline import UNCLAIMED, Span, Voice
from minuted_daemon.core.merge.floor import Stretch
from minuted_daemon.core.samples import BLOCK, samples
from minuted_daemon.core.voice.activity import VoiceTrack

SHORTEST = samples(0.1)
"""A stretch shorter than this is not cut out."""
PAUSE = samples(0.15)
_PAUSE_FROM = 0.6  # of the longest turn


@dataclass(slots=True)
class Segment:
    """One holder's speech from `start` to `end` with its pauses.

    `closed`: no more of it will come. `paused`: the holder is known to be silent after it. `resume`: where the same
    holder goes on after a cut in a pause. `parts`: the stretches inside, of a segment that may yet be cut.
    """

    voice: Voice
    start: int
    end: int
    closed: bool = False
    paused: bool = False
    resume: int | None = None
    parts: list[tuple[int, int]] = field(default_factory=list)


def join(
    stretches: Sequence[Stretch],
    horizon: int,
    claimed_to: int,
    join_gap: int,
    final: bool,
    spans: Sequence[Span] = (),
) -> list[Segment]:
    """Join stretches of one holder with no other between; drop those that are too short to be cut out.

    horizon: speaker events before it are known. claimed_to: unclaimed speech before it is known. spans: what is known
    at all, also after the horizon.
    """
    segments: list[Segment] = []
    # Also if it is too early to say whether the last stretch is one: no other turn's tail may reach into it.
    somebody_goes_on = bool(stretches) and stretches[-1].open
    stretches = _without_blips(stretches, final, horizon, spans)
    for stretch in stretches:
        last = segments[-1] if segments else None
        if last is not None and last.voice == stretch.voice and stretch.start - last.end <= join_gap:
            last.parts.append((stretch.start, stretch.end))
            last.end = stretch.end
            continue
        if last is not None:
            last.closed = True
        segments.append(Segment(stretch.voice, stretch.start, stretch.end, parts=[(stretch.start, stretch.end)]))
    if segments:
        last = segments[-1]
        # The horizon moves a block at a time: half a block early is on time on average.
        known_to = claimed_to if last.voice == UNCLAIMED else horizon + BLOCK // 2
        last.paused = not somebody_goes_on
        over = not stretches[-1].open and known_to >= last.end + join_gap
        last.closed = final or (over and not _returns(spans, last, join_gap))
    return segments


def _returns(spans: Sequence[Span], segment: Segment, join_gap: int) -> bool:
    until = segment.end + join_gap
    return any(span.voice == segment.voice and segment.end < span.start <= until for span in spans)


def _without_blips(stretches: Sequence[Stretch], final: bool, horizon: int, spans: Sequence[Span]) -> list[Stretch]:
    kept: list[Stretch] = []
    carried: int | None = None
    for stretch in stretches:
        start, end = stretch.start, stretch.end
        if carried is not None:
            start, carried = min(start, carried), None
        if stretch.end - stretch.start < SHORTEST and not _outlasts(stretch, horizon, spans):
            if stretch.open and not final and end == horizon:
                break  # too early to say
            if kept and kept[-1].end == stretch.start:
                kept[-1] = Stretch(kept[-1].voice, kept[-1].start, end)
                continue
            if any(other.start == end and other is not stretch for other in stretches):
                carried = start
                continue
        kept.append(Stretch(stretch.voice, start, end, stretch.open))
    return kept


def _outlasts(stretch: Stretch, horizon: int, spans: Sequence[Span]) -> bool:
    """Return whether an open stretch is known not to be a blip: half a block early, as above."""
    if not stretch.open or stretch.end != horizon or stretch.end - stretch.start < BLOCK // 2:
        return False
    until = stretch.start + SHORTEST
    return any(
        span.voice == stretch.voice and span.start <= stretch.start and (span.end is None or span.end >= until)
        for span in spans
    )


class MonologueCutter:
    """Finds where a turn that grows too long is cut."""

    def __init__(self, track: VoiceTrack, max_turn: int) -> None:
        self._track = track
        self._longest = max_turn
        self._forced: tuple[int, int] | None = None  # (start of the turn, its cut)

    def cut(self, segment: Segment, spans: Sequence[Span], sent_to: int, hold_back: int) -> int | None:
        """Return where to cut the segment: at its first free pause, else at the quietest point; None for not (yet).

        A cut at a pause sets `segment.resume`. sent_to: nothing before it may be cut apart any more.
        """
        longest = segment.start + self._longest
        since = segment.start + int(self._longest * _PAUSE_FROM)
        if segment.end <= since:
            return None
        for start, end in self._track.runs(since, min(self._track.end, longest), voiced=False, at_least=PAUSE):
            known = sent_to <= end < self._track.end and end <= segment.end
            if known and not _spoken(spans, segment.voice, start, end):
                segment.resume = end
                return start
        if self._track.end < longest:
            return None
        if self._forced is None or self._forced[0] != segment.start:
            quiet = self._track.quietest(max(sent_to, longest - max(hold_back, PAUSE)), longest)
            self._forced = (segment.start, quiet)
        cut = self._forced[1]
        return cut if segment.end > cut else None


def _spoken(spans: Sequence[Span], voice: Voice, start: int, end: int) -> bool:
    return any(span.voice != voice and span.start < end and (span.end is None or span.end > start) for span in spans)


def split(segment: Segment, cut: int) -> tuple[Segment, Segment | None]:
    """Split a segment in two; None for the second if nothing lies after the cut yet."""
    resume = segment.resume if segment.resume is not None else cut
    tail = [(max(start, resume), end) for start, end in segment.parts if end > resume]
    first = Segment(segment.voice, segment.start, cut, closed=True, resume=resume)
    if not tail:
        return first, None
    return first, Segment(segment.voice, tail[0][0], segment.end, segment.closed, segment.paused, parts=tail)
