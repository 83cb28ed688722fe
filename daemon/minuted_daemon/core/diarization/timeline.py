"""Who was active when, put together from a diarizer's starts and ends in whatever order and shape they arrive.

Arrival order decides nothing here but ties: each voice keeps its marks sorted by position and its spans are read off
them, so a late, doubled or missing event costs no more than itself. Who holds the floor is decided in floor.py.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NewType

from minuted_daemon.core.samples import samples

Voice = NewType("Voice", int)
"""One label of one epoch, numbered by the merger."""

UNCLAIMED = Voice(0)
"""The voice of speech that no diarizer claims."""
STORED = Voice(-1)
"""The voice of turns that were stored before the daemon was started: their speech makes no turns again."""

_NEGATIVE_PAIR = samples(0.05)
_SILENCES = 32
"""The number of long silences remembered, for starts that are reported after them."""
_END, _START = 0, 1


@dataclass(frozen=True, slots=True)
class Span:
    """A voice was active in [start, end); `end` is None while it is. `order` tells equal starts apart."""

    voice: Voice
    start: int
    end: int | None
    order: int


@dataclass(frozen=True, slots=True, order=True)
class _Mark:
    # At equal positions ends come before starts, and starts in order of arrival.
    at: int
    kind: int
    order: int
    provisional: bool = field(default=False, compare=False)


class _Voice:
    """The marks of one voice and the spans that follow from them."""

    __slots__ = ("marks", "spans", "voice")

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.marks: list[_Mark] = []
        self.spans: list[Span] = []

    def add_start(self, at: int, order: int) -> int | None:
        insort(self.marks, _Mark(at, _START, order))
        return self.read()

    def add_end(self, at: int, order: int, replaces: bool = True) -> int | None:
        insort(self.marks, _Mark(at, _END, order))
        if replaces:
            replaced = self.provisional_ends(at)
            self.marks = [mark for mark in self.marks if mark not in replaced]
        return self.read()

    def add_provisional_end(self, at: int, order: int) -> int | None:
        insort(self.marks, _Mark(at, _END, order, provisional=True))
        return self.read()

    def provisional_ends(self, at: int) -> list[_Mark]:
        """The provisional ends of the span that an end at this position is the true end of."""
        started = max((mark.at for mark in self.marks if mark.kind == _START and mark.at < at), default=0)
        return [mark for mark in self.marks if mark.provisional and started <= mark.at < at]

    def read(self) -> int | None:
        """Read the spans off the marks; give the first position at which they changed."""
        spans: list[Span] = []
        since: _Mark | None = None
        nothing: int | None = None  # position of an end that ended nothing
        ended: int | None = None  # position of the last end that ended something
        again: int | None = None  # where an active voice started once more
        for mark, following in zip_longest(self.marks, self.marks[1:]):
            if mark.kind == _START:
                # Directly after an end that ended nothing, a start is the other half of an empty pair. An end that
                # came twice ended nothing the second time: then the start must lie at the very same position.
                near = 0 if nothing == ended else _NEGATIVE_PAIR
                empty = nothing is not None and mark.at - nothing <= near
                nothing = None
                if since is not None:
                    again = mark.at if mark.at > since.at else again
                elif not empty:
                    since = mark
            elif since is None:
                nothing = mark.at
            elif again is not None and mark.at - again <= _NEGATIVE_PAIR and (not following or following.kind == _END):
                again = None  # the next start came a little before this end: they touch
            else:
                if mark.at > since.at:
                    spans.append(Span(self.voice, since.at, mark.at, since.order))
                since, again, ended = None, None, mark.at
        if since is not None:
            spans.append(Span(self.voice, since.at, None, since.order))
        changed_from = _differ_from(self.spans, spans)
        self.spans = spans
        return changed_from

    def rewrite(self, spans: Sequence[Span], order: int) -> None:
        """Be active where any of these spans is."""
        self.marks = []
        until: int | None = -1
        for span in sorted(spans, key=lambda span: span.start):
            if until is None:
                break
            if span.start >= until:  # spans that touch stay two
                if self.marks:
                    insort(self.marks, _Mark(until, _END, order))
                insort(self.marks, _Mark(span.start, _START, span.order))
            until = None if span.end is None else max(until, span.end)
        if self.marks and until is not None:
            insort(self.marks, _Mark(until, _END, order))
        self.read()

    def forget(self, before: int) -> None:
        keep = 0
        for span in self.spans:
            if span.end is None or span.end > before:
                break
            keep = span.end
        if keep:
            # Provisional ends stay with their span; all marks up to the last forgotten end go.
            self.marks = [mark for mark in self.marks if mark.at > keep or (mark.at == keep and mark.kind == _START)]
            self.read()
        elif not self.spans:
            self.marks = [mark for mark in self.marks if mark.at > before]


def _differ_from(before: list[Span], after: list[Span]) -> int | None:
    for old, new in zip_longest(before, after):
        if old == new:
            continue
        starts = {span.start for span in (old, new) if span is not None}
        if len(starts) > 1 or old is None or new is None:
            return min(starts)
        ends = [span.end for span in (old, new) if span.end is not None]
        return min(ends, default=new.start) if old.end != new.end else new.start
    return None


class Timeline:
    """The activity of all voices over the recent past."""

    def __init__(self) -> None:
        self._voices: dict[Voice, _Voice] = {}
        self._silences: deque[int] = deque(maxlen=_SILENCES)
        self._order = 0

    def start(self, voice: Voice, at: int) -> int | None:
        """Take a start; give the first position at which any span changed, None if none did."""
        entry = self._of(voice)
        changed_from = entry.add_start(at, self._next())
        silence = next((since for since in self._silences if since > at), None)
        if silence is not None and changed_from is not None and entry.spans and entry.spans[-1].end is None:
            entry.add_provisional_end(silence, self._next())  # reported late: the silence after it is over
        return changed_from

    def end(self, voice: Voice, at: int) -> int | None:
        """Take an end; give the first position at which any span changed, None if none did."""
        entry = self._of(voice)
        since = min((mark.at for mark in entry.provisional_ends(at)), default=at)
        # A late end is ignored if another voice has been active since.
        replaces = not any(spoken for other, spoken in self.active_time(since, at) if other != voice)
        return entry.add_end(at, self._next(), replaces)

    def cut_off(self, voice: Voice, at: int) -> bool:
        """The voice's epoch is gone: its open span ends at `at`; return whether there was one."""
        entry = self._of(voice)
        return any(span.end is None for span in entry.spans) and entry.add_end(at, self._next()) is not None

    def fall_silent(self, since: int) -> bool:
        """There was no voice since `since`, for longer than a speaker may pause: end open spans provisionally."""
        changed = False
        if since not in self._silences:  # reported again while it lasts
            self._silences.append(since)
        for entry in self._voices.values():
            if entry.spans and entry.spans[-1].end is None and entry.spans[-1].start < since:
                changed |= entry.add_provisional_end(since, self._next()) is not None
        return changed

    def relabel(self, old: Voice, new: Voice, start: int, end: int) -> bool:
        """Give the activity of `old` in [start, end) to `new`; return whether there was any."""
        source, target = self._of(old), self._of(new)
        kept: list[Span] = []
        moved: list[Span] = []
        for span in source.spans:
            low, high = max(span.start, start), end if span.end is None else min(span.end, end)
            if high <= low:
                kept.append(span)
                continue
            moved.append(Span(new, low, high, span.order))
            if span.start < low:
                kept.append(Span(old, span.start, low, span.order))
            if span.end is None or high < span.end:
                kept.append(Span(old, high, span.end, span.order))
        if moved:
            source.rewrite(kept, self._next())
            target.rewrite([*target.spans, *moved], self._next())
        return bool(moved)

    def spans(self, since: int) -> list[Span]:
        """All spans that reach beyond `since`, by start, equal starts in order of arrival."""
        found = [
            span for entry in self._voices.values() for span in entry.spans if span.end is None or span.end > since
        ]
        found.sort(key=lambda span: (span.start, span.order))
        return found

    def active_time(self, start: int, end: int) -> Iterator[tuple[Voice, int]]:
        """For each voice active in [start, end): for how many samples."""
        for entry in self._voices.values():
            total = 0
            for span in entry.spans:
                total += max(0, min(end, end if span.end is None else span.end) - max(start, span.start))
            if total:
                yield entry.voice, total

    def forget(self, before: int) -> None:
        """Drop what ended before this position."""
        for voice in list(self._voices):
            entry = self._voices[voice]
            entry.forget(before)
            if not entry.marks:
                del self._voices[voice]

    def _of(self, voice: Voice) -> _Voice:
        if voice not in self._voices:
            self._voices[voice] = _Voice(voice)
        return self._voices[voice]

    def _next(self) -> int:
        self._order += 1
        return self._order
