"""The voice activity of a session's last two minutes, for judging what a diarizer says. Positions are the session's."""

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import FRAME, samples

LENGTH = samples(120.0)
_FRAMES = LENGTH // FRAME


class VoiceLog:
    """One entry for each 10 ms frame. A later entry replaces the one before.

    `sure` is for the verdict of a voice-activity model: energy alone takes music for voice at times.
    total, total_sure: frames of voice since the session began, for counting between two moments.
    """

    def __init__(self) -> None:
        self.total = self.total_sure = 0
        self._voiced = np.zeros(_FRAMES, np.bool_)
        self._sure = np.zeros(_FRAMES, np.bool_)
        self._end = 0  # number of the frame after the last one

    @property
    def end(self) -> int:
        """The log reaches to here."""
        return self._end * FRAME

    def put(self, start: int, voiced: NDArray[np.bool_], sure: bool = False) -> None:
        """Take the voice activity (bool, shape (frames,)) from `start` on; what is older than the log is left out."""
        first = start // FRAME
        end = first + len(voiced)
        if end > self._end:
            self._clear(self._end, end)
            self._end = end
        skip = max(0, self._end - _FRAMES - first)
        voiced, first = voiced[skip:], first + skip
        if not len(voiced):
            return
        places = np.arange(first, end) % _FRAMES
        self.total += int(voiced.sum()) - int(self._voiced[places].sum())
        self.total_sure -= int((self._voiced[places] & self._sure[places]).sum())
        self.total_sure += int(voiced.sum()) if sure else 0
        self._voiced[places] = voiced
        self._sure[places] = sure

    def between(self, start: int, end: int) -> NDArray[np.bool_]:
        """Return the voice activity of [start, end), one entry a frame; false where nothing is known."""
        first, last = start // FRAME, max(start, end) // FRAME
        found = np.zeros(last - first, np.bool_)
        low, high = max(first, self._end - _FRAMES, 0), min(last, self._end)
        if high > low:
            found[low - first : high - first] = self._voiced[np.arange(low, high) % _FRAMES]
        return found

    def spoken(self, start: int, end: int) -> int:
        """Return the samples of voice in [start, end)."""
        return int(self.between(start, end).sum()) * FRAME

    def _clear(self, first: int, end: int) -> None:
        """Frames that are new have no voice yet; what lay in their places is forgotten, but stays counted."""
        places = np.arange(max(first, end - _FRAMES), end) % _FRAMES
        self._voiced[places] = False
        self._sure[places] = False
