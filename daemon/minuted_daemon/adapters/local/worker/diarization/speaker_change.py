"""Where one voice takes over from another without the segmentation noticing: it often hears two alike voices as one.

While a segment is spoken, the voice of its last second or so is compared with what went before. Whose voices they are
is not decided here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.local.worker.diarization.powerset import SHORTEST, Stretch
from minuted_daemon.adapters.local.worker.diarization.voice_clustering import Embedding, unit

LOOK = 16_000
"""Samples of own speech that are compared: 1 s. Less is too little for a voice, more finds a change too late."""
CHANGED = 0.36
"""Below this similarity to what went before, another person is speaking."""
_DENSE = 1.4
_SEARCHED_BEFORE = 9_600
_SEARCHED_BEHIND = 8_000
_QUIET = 960
_QUIET_STEP = 160


@dataclass(frozen=True, slots=True)
class _Cut:
    start: int
    at: int


@dataclass(slots=True)
class VoiceChanges:
    """Remembers the recent voices of open segments, and the cuts that later windows must show as well."""

    _looks: dict[int, list[tuple[int, Embedding]]] = field(default_factory=dict)
    _cuts: list[_Cut] = field(default_factory=list)

    def newest(self, own: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return what of a segment's own samples (rising) to look at now, None if there is not enough in one place."""
        newest = own[-LOOK:]
        return newest if len(newest) == LOOK and newest[-1] - newest[0] < _DENSE * LOOK else None

    def observe(self, segment: int, first: int, last: int, voice: Embedding) -> bool:
        """Take in the voice of a segment's newest samples [first, last]; return whether it is another than before."""
        voice = unit(voice)
        looks = self._looks.setdefault(segment, [])
        before = [known for end, known in looks if end <= first]
        looks.append((last, voice))
        return bool(before) and float(unit(np.sum(before, axis=0)) @ voice) < CHANGED

    def change(self, start: int, around: int, wave: NDArray[np.float32], window_start: int) -> None:
        """Cut the segment that begins at `start` where it is quietest near `around`, from now on."""
        low = max(around - _SEARCHED_BEFORE, start + SHORTEST) - window_start
        frames = np.lib.stride_tricks.sliding_window_view(
            wave[max(low, 0) : around + _SEARCHED_BEHIND - window_start], _QUIET
        )
        quietest = int(np.square(frames[::_QUIET_STEP]).sum(axis=1).argmin())
        self._cuts.append(_Cut(start, window_start + max(low, 0) + quietest * _QUIET_STEP + _QUIET // 2))

    def apply(self, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Return what a window shows, cut where voices changed; in order of start."""
        shown = list(stretches)
        for cut in self._cuts:
            whole = [s for s in shown if s.start + SHORTEST < cut.at < s.end - SHORTEST]
            if not whole:
                continue
            chosen = min(whole, key=lambda s: abs(s.start - cut.start))
            shown.remove(chosen)
            shown += [replace(chosen, end=cut.at), replace(chosen, start=cut.at)]
        return sorted(shown, key=lambda s: (s.start, s.track))

    def keep(self, segments: Collection[int], window_start: int) -> None:
        """Forget all but these segments, and the cuts that no window shows any more."""
        self._looks = {number: looks for number, looks in self._looks.items() if number in segments}
        self._cuts = [cut for cut in self._cuts if cut.at > window_start]
