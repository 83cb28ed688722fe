"""Follows speech from one window to the next, so that no stretch is reported twice. Numpy only.

Each window orders its local speakers anew and sees the last seconds again, the newest of them badly. So a segment is
opened as soon as the horizon (the newest sample that is reported) passes its start, but it is settled only by the
window in which its end lies beyond the horizon. Whose voice it is, is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from minuted_daemon.adapters.local.worker.diarization.powerset import SHORTEST, Stretch

SAME_START = 6_400
"""Views of one segment agree about its start within 0.4 s."""
SHORTEST_REST = 6_400
"""Speech that goes on after a settled segment without a pause is reported if this long (0.4 s); less is jitter."""
COVERED = 0.6
"""A stretch of which this much is settled is not reported again."""


@dataclass(slots=True, eq=False)
class Segment:
    """Speech of one voice that is reported. `end` is how far it is known to reach while it is open.

    `view` is how the newest window shows it, None where that window does not. A segment that is closed without being
    settled was given up: later windows did not bear it out.
    """

    number: int
    start: int
    end: int
    view: Stretch | None
    open: bool = True
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What one window brought: segments that began, and segments that ended (some of them both)."""

    opened: tuple[Segment, ...] = ()
    closed: tuple[Segment, ...] = ()

    def __add__(self, later: "Changes") -> "Changes":
        return Changes(self.opened + later.opened, self.closed + later.closed)


@dataclass(slots=True)
class SegmentTracker:
    """Reports each stretch of speech once. Memory is bounded by what one window can hold."""

    _open: list[Segment] = field(default_factory=list)
    _settled: list[Segment] = field(default_factory=list)
    _next_number: int = 0

    @property
    def open(self) -> Sequence[Segment]:
        """Segments that go on."""
        return self._open

    def update(self, stretches: Sequence[Stretch], window_start: int, horizon: int) -> Changes:
        """Take in what a window shows and report what lies before `horizon`, which never falls."""
        self._settled = [s for s in self._settled if s.end > window_start]
        fresh = [f for s in stretches if s.start < horizon and (f := self._fresh(s, stretches)) is not None]
        matches = _match(fresh, self._open, window_start)
        opened: list[Segment] = []
        closed: list[Segment] = []
        for segment in self._open:
            if segment not in matches.values():
                segment.view, segment.open = None, False
                closed.append(segment)
        for stretch in fresh:
            if stretch in matches:
                segment = matches[stretch]
            else:
                segment = Segment(self._next_number, stretch.start, stretch.start, stretch)
                self._next_number += 1
                opened.append(segment)
            segment.view = stretch
            segment.end = min(stretch.end, horizon)
            if stretch.end <= horizon:
                segment.end = max(segment.end, segment.start + SHORTEST)
                segment.open, segment.settled = False, True
                closed.append(segment)
                self._settled.append(segment)
        self._open = [s for s in (*self._open, *opened) if s.open]
        return Changes(tuple(opened), tuple(closed))

    def tracks(self, stretches: Sequence[Stretch]) -> list[tuple[int, int]]:
        """Return (segment, local speaker) of each segment that this window, taken in last, shows."""
        shown = [(s.number, track) for s in self._settled if (track := _track_of(s, stretches)) is not None]
        return shown + [(s.number, s.view.track) for s in self._open if s.view is not None]

    def close(self) -> Changes:
        """End whatever is still open, where it was last heard."""
        left = tuple(self._open)
        for segment in left:
            segment.open, segment.settled = False, True
        self._open = []
        return Changes(closed=left)

    def _fresh(self, stretch: Stretch, stretches: Sequence[Stretch]) -> Stretch | None:
        """Return what of a stretch is not settled, None if that is nothing worth reporting."""
        rest = stretch.start
        for segment in sorted(self._settled, key=lambda s: s.start):
            if segment.start <= rest + SAME_START < segment.end + SAME_START and (
                _track_of(segment, stretches) == stretch.track
            ):
                rest = max(rest, segment.end)
        if rest > stretch.start and stretch.end - rest < SHORTEST_REST:
            return None
        settled = sum(_overlap(rest, stretch.end, s.start, s.end) for s in self._settled)
        return replace(stretch, start=rest) if settled <= COVERED * (stretch.end - rest) else None


def _match(fresh: Sequence[Stretch], segments: Sequence[Segment], window_start: int) -> dict[Stretch, Segment]:
    """Find how the window shows the open segments, one to one: those that start together first, then by overlap."""
    scores: list[tuple[bool, int, int, int]] = []
    for i, stretch in enumerate(fresh):
        for j, segment in enumerate(segments):
            overlap = _overlap(stretch.start, stretch.end, segment.start, segment.end)
            if overlap > 0:
                begins = abs(stretch.start - max(segment.start, window_start)) <= SAME_START
                scores.append((begins, overlap, i, j))
    matches: dict[Stretch, Segment] = {}
    for _, _, i, j in sorted(scores, reverse=True):
        if fresh[i] not in matches and segments[j] not in matches.values():
            matches[fresh[i]] = segments[j]
    return matches


def _track_of(segment: Segment, stretches: Sequence[Stretch]) -> int | None:
    """Return the local speaker of this window that spoke most during a segment."""
    shared: dict[int, int] = {}
    for stretch in stretches:
        overlap = _overlap(stretch.start, stretch.end, segment.start, segment.end)
        if overlap > 0:
            shared[stretch.track] = shared.get(stretch.track, 0) + overlap
    return max(shared, key=lambda track: shared[track], default=None)


def _overlap(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(0, min(end, other_end) - max(start, other_start))
