"""Who holds the floor, exclusively: from overlapping activity to stretches with one holder each.

A pure function over spans. Stretches are cut into turns in segmentation.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minuted_daemon.core.diarization.timeline import UNCLAIMED, Span, Voice
from minuted_daemon.core.samples import samples

RESTART = samples(0.3)
"""A holder who restarts within this never lost the floor."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One holder from `start` to `end`. The last one of a floor may be open: the holder goes on, or may come back."""

    voice: Voice
    start: int
    end: int
    open: bool = False


def hold_floor(
    spans: Sequence[Span], begin: int, horizon: int, holder: Voice | None, final: bool = False
) -> list[Stretch]:
    """Return the stretches of [begin, horizon), each with its holder, in order.

    spans: by start, then order, as Timeline.spans gives them. holder: who held the floor just before `begin`.
    horizon: events before it are taken to be known; those after it only show whether a holder restarts. A holder
    who ended less than RESTART before the horizon, with no other speaker after, leaves the rest undecided, unless
    `final`: nothing more will come. Another speaker has the floor at once: if the holder turns out to have restarted,
    the turns are revised (reviser.py).
    """
    return _Scan(spans, begin, horizon, holder, final).run()


class _Scan:
    def __init__(self, spans: Sequence[Span], begin: int, horizon: int, holder: Voice | None, final: bool) -> None:
        self.horizon, self.final = horizon, final
        self.active: dict[Voice, tuple[int, int]] = {}
        self.starts: dict[Voice, list[int]] = {}
        self.ends: dict[int, list[Voice]] = {}
        # (position, end before start, order, voice)
        self.marks: list[tuple[int, int, int, Voice]] = []
        for span in spans:
            if span.end is not None and span.end <= begin:
                continue
            if span.start < begin:
                self.active[span.voice] = (span.start, span.order)
            else:
                self.starts.setdefault(span.voice, []).append(span.start)
                self.marks.append((span.start, 1, span.order, span.voice))
            if span.end is not None:
                self.marks.append((span.end, 0, span.order, span.voice))
                self.ends.setdefault(span.end, []).append(span.voice)
        self.marks.sort()
        self.holder = holder if holder in self.active else self._most_recent()
        self.since = begin
        self.may_restart_at: int | None = None
        self.out: list[Stretch] = []

    def run(self) -> list[Stretch]:
        for at, is_start, order, voice in self.marks:
            if at >= self.horizon:
                break
            if is_start:
                self.active[voice] = (at, order)
                if self.may_restart_at is not None and voice != UNCLAIMED:
                    self._pass_to(None, self.may_restart_at)
                if self.holder is None or (self.holder == UNCLAIMED and voice != UNCLAIMED):
                    self._pass_to(voice, at)
                continue
            # Voices that end at this very position cannot take the floor.
            for other in self.ends[at]:
                self.active.pop(other, None)
            if voice != self.holder or self._restarts(voice, at):
                continue
            following = self._most_recent()
            if following in (None, UNCLAIMED) and voice != UNCLAIMED and not self.final and self.horizon < at + RESTART:
                self.may_restart_at = at
            else:
                self._pass_to(following, at)
        if self.may_restart_at is not None:
            self._tell(self.may_restart_at, undecided=True)
        elif self.holder is not None and self.horizon > self.since:
            self._tell(self.horizon, undecided=not self.final)
        return self.out

    def _restarts(self, voice: Voice, at: int) -> bool:
        return any(at <= start <= at + RESTART for start in self.starts.get(voice, ()))

    def _most_recent(self) -> Voice | None:
        heard = [voice for voice in self.active if voice != UNCLAIMED]
        if heard:
            return max(heard, key=self.active.__getitem__)
        return UNCLAIMED if UNCLAIMED in self.active else None

    def _pass_to(self, voice: Voice | None, at: int) -> None:
        self._tell(at, undecided=False)
        self.holder, self.since, self.may_restart_at = voice, at, None

    def _tell(self, until: int, undecided: bool) -> None:
        if self.holder is not None and until > self.since:
            self.out.append(Stretch(self.holder, self.since, until, undecided))
