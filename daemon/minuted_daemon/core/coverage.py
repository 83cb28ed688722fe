"""The coverage ledger: what became of every sample of a session's clock. Pure; who claims what is read elsewhere.

What is known of a session's audio comes as claims, which may overlap. Each sample goes to the claim with the best
ground; an unclaimed sample is silence. So the parts always add up to the audio that was heard.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind
from minuted_daemon.core.samples import Sample

NO_TEXT = "NO_TEXT"
"""The reason of a loss if a turn got no text; of a text, if only its first part came."""

NO_WORDS = "NO_WORDS"
"""The reason of a loss if the transcriber found no word in a moment of a diarized speaker."""


class Ground(IntEnum):
    """Why a stretch is accounted for as it is. Where claims overlap, the ground that stands first here counts."""

    MUTED = 0  # paused or redacted on request: outweighs every other ground
    UNCLAIMED = 1  # lost: no audio came; the text of a turn that reaches across holds no word of it
    TEXT = 2
    LOST = 3  # lost: noted when it happened; where there is a text all the same, it was not
    WORDLESS = 4  # lost: a turn without a text; an interval over the same stretch knows the cause
    PENDING = 5  # not decided: whatever else is known of it was decided


TURNS = (Ground.TEXT, Ground.WORDLESS)
"""What turns claim, with a text and without."""
_LOST = (Ground.UNCLAIMED, Ground.LOST, Ground.WORDLESS)


class Claim(NamedTuple):
    """[start, end) is accounted for on this ground. `reason` is UPPER_SNAKE, and counts for what is lost."""

    start: Sample
    end: Sample
    ground: Ground
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The sums, in samples. `lost` is by reason and holds no zeros."""

    text: int
    silence: int
    muted: int
    pending: int
    lost: Mapping[str, int]

    @property
    def total(self) -> int:
        """The sum: exactly the audio that was heard."""
        return self.text + self.silence + self.muted + self.pending + sum(self.lost.values())


def turn_claim(start: Sample, end: Sample, source: TextSource, transcribed: bool, why: str = NO_TEXT) -> Claim:
    """Return the claim of a FINAL turn; `why`: the reason if its text is missing or incomplete.

    Without a transcriber a turn has no text to lose, so it counts as text.
    """
    if source is TextSource.COMPLETED or not transcribed:
        return Claim(start, end, Ground.TEXT)
    return Claim(start, end, Ground.WORDLESS if source is TextSource.NONE else Ground.TEXT, why)


def interval_claim(start: Sample, end: Sample, kind: IntervalKind, reason: str) -> Claim:
    """Return the claim of an interval; one that is lost without a reason is so by its kind."""
    return Claim(start, end, _GROUNDS[kind], reason or kind.name)


_GROUNDS = {
    IntervalKind.MUTED: Ground.MUTED,
    IntervalKind.GAP: Ground.UNCLAIMED,
    IntervalKind.LOST: Ground.LOST,
}


class Ledger:
    """Adds claims up in one pass over [0, heard). It holds only those that reach beyond the newest one's start."""

    def __init__(self, heard: Sample) -> None:
        self._heard = heard
        self._at = 0  # all before is accounted for
        self._newest = 0
        self._open: list[tuple[Ground, int, str, int]] = []  # a heap: ground, start, reason, end
        self._sums: Counter[tuple[Ground, str]] = Counter()
        self._silence = 0

    def enter(self, claims: Iterable[Claim]) -> None:
        """Take in the next claims. Raises ValueError if one begins before one that was entered earlier."""
        for claim in claims:
            if claim.start < self._newest:
                raise ValueError("claims come in order of their start")
            self._newest = claim.start
            self._account(min(claim.start, self._heard))
            best = self._open[0] if self._open else None
            rank = (claim.ground, claim.start, claim.reason)
            outdone = best is not None and best[:3] <= rank and best[3] >= claim.end
            if claim.end > self._at and not outdone:
                heappush(self._open, (claim.ground, claim.start, claim.reason, claim.end))

    def close(self) -> Coverage:
        """No more claims come: give the sums."""
        self._account(self._heard)
        lost: Counter[str] = Counter()
        for (ground, reason), length in self._sums.items():
            if ground in _LOST:
                lost[reason] += length
        return Coverage(
            text=self._sum(Ground.TEXT),
            silence=self._silence,
            muted=self._sum(Ground.MUTED),
            pending=self._sum(Ground.PENDING),
            lost=dict(sorted(lost.items())),
        )

    def _account(self, until: int) -> None:
        while self._at < until:
            while self._open and self._open[0][3] <= self._at:
                heappop(self._open)
            if not self._open:
                self._silence += until - self._at
                self._at = until
                return
            ground, _, reason, end = self._open[0]
            end = min(end, until)
            self._sums[ground, reason] += end - self._at
            self._at = end

    def _sum(self, ground: Ground) -> int:
        return sum(length for (one, _), length in self._sums.items() if one is ground)
