"""From 24 kHz to 16 kHz, for a transcriber that takes over in a session whose audio is kept at 24 kHz.

Two thirds by a polyphase filter: a windowed sinc at 48 kHz that passes up to 7 kHz and keeps what lies above 8 kHz out
by 60 dB; only the taps that meet a sample, and only the outputs that are wanted, are ever computed.
"""

import numpy as np
from numpy.typing import NDArray

_BEFORE, _BEHIND = 36, 37  # samples at 24 kHz that an output looks back and ahead
_CUTOFF = 7_450 / 48_000
_KAISER_BETA = 5.7


def _taps() -> NDArray[np.float32]:
    """Give what the samples around every third one weigh in the two outputs that fall on it and behind it."""
    reach = 2 * _BEFORE
    at = np.arange(-reach, reach + 1)
    kernel = 2.0 * _CUTOFF * np.sinc(2.0 * _CUTOFF * at) * np.kaiser(len(at), _KAISER_BETA)
    kernel *= 2.0 / kernel.sum()  # every other sample at 48 kHz is none
    taps = np.zeros((_BEFORE + _BEHIND + 1, 2))
    for row, sample in enumerate(range(-_BEFORE, _BEHIND + 1)):
        for column, output in enumerate((0, 3)):
            place = output - 2 * sample
            if abs(place) <= reach:
                taps[row, column] = kernel[place + reach]
    level: NDArray[np.float32] = (taps / taps.sum(axis=0)).astype(np.float32)
    return level


_TAPS = _taps()


class Narrower:
    """One stretch of audio, fed in pieces of any length. What is fed is given 1.5 ms later, without a shift in time."""

    def __init__(self) -> None:
        self._held = np.zeros(_BEFORE, np.float32)
        self._taken = 0
        self._given = 0

    def feed(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take audio (int16, shape (n,), 24 kHz) and give what can be told of it (int16, shape (m,), 16 kHz)."""
        self._taken += len(pcm)
        return self._narrowed(pcm)

    def finish(self) -> NDArray[np.int16]:
        """Give what is left: then two samples were given for every three taken, the last third rounded up."""
        owed = -(-2 * self._taken // 3) - self._given
        return self._narrowed(np.zeros(_BEHIND + 3, np.int16))[:owed]

    def _narrowed(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        self._held = np.concatenate((self._held, pcm.astype(np.float32)))
        thirds = max(0, len(self._held) - len(_TAPS) + 3) // 3
        if thirds == 0:
            return np.zeros(0, np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(self._held, len(_TAPS))[: 3 * thirds : 3]
        made: NDArray[np.int16] = np.rint(np.clip(windows @ _TAPS, -32768.0, 32767.0)).astype(np.int16).reshape(-1)
        self._held = self._held[3 * thirds :]
        self._given += len(made)
        return made
