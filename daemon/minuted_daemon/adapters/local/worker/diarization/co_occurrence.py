"""Who was heard beside whom: what the local speakers of many windows say about two segments. No embeddings here.

Two segments that one window gives to different local speakers are nearly always of different people; two that it gives
to the same one often are not of the same person. So only the former counts.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

_CLEARLY = 0.8


@dataclass(slots=True)
class _Windows:
    together: int = 0
    apart: int = 0


@dataclass(slots=True)
class CoOccurrence:
    """Counts, for each two segments, the windows that heard both of them."""

    _windows: dict[tuple[int, int], _Windows] = field(default_factory=dict)

    def observe(self, tracks: Iterable[tuple[int, int]]) -> None:
        """Take in a window: (segment, local speaker) of each segment that it shows."""
        seen: list[tuple[int, int]] = []
        for segment, track in tracks:
            for other, other_track in seen:
                windows = self._windows.setdefault((min(segment, other), max(segment, other)), _Windows())
                windows.together += 1
                windows.apart += track != other_track
            seen.append((segment, track))

    def apart(self) -> list[tuple[int, int]]:
        """Return the pairs of segments that are clearly of different local speakers, the lower number first."""
        return [pair for pair, windows in self._windows.items() if windows.apart > _CLEARLY * windows.together]

    def keep(self, segments: Collection[int]) -> None:
        """Forget all but these segments."""
        self._windows = {pair: n for pair, n in self._windows.items() if pair[0] in segments and pair[1] in segments}
