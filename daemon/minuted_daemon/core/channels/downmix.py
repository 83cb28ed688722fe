"""From a source's channels to one, so that speech survives: dead, silent and inverted channels are found and left out.

Decides for each block it is given, from what was heard up to the end of it; the same blocks always give the same sound.
A change is faded, and what led to it must be clearly over before it is taken back. What a person should be told about
the channels is channel_remarks.py's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.channels.choice import ChannelChoice

Frames = NDArray[np.float32]
"""Shape (n, channels); full scale is 1.0."""
Mono = NDArray[np.float32]

_FADE_S = 0.02
_MEMORY = 0.9
"""How much of what is known counts after another block of 100 ms: a second or so is remembered."""
_FADING_DB = 0.05
"""How much a level that was reached counts less with each block: half a decibel in a second."""
_SILENT_DB = 20.0
"""So far below the loudest a channel adds nothing but noise, and takes from the others by being counted."""
_HEARD_DB = 14.0
_STEADY_DB = 4.0
_STEADY_BLOCKS = 50
_SPEAKING_DB = 10.0
"""Speech is loud and soft by turns; what keeps within four decibels for five seconds is none."""
_INVERTED = -0.5
_UPRIGHT = 0.5
_CANCELS = 0.25
"""Of the power that unrelated channels would have together; below it, they take each other away."""
_ADDS = 0.5
_LOUDER = 4.0
_FLOOR = 1e-14


class Downmix:
    """One source's, from its first block on.

    Of the chosen channels: `weights` (n,), `silent` (n,), `inverted` (n,), `powers` (n,) in the last block, and
    `cancels`: whether their plain mean takes the sound away.
    """

    def __init__(self, choice: ChannelChoice, channels: int, rate_hz: int) -> None:
        """Raises ValueError if the source lacks a channel that was chosen."""
        if choice.lacking(channels):
            raise ValueError("a channel that the source does not have")
        self.chosen: Sequence[int] = choice.channels or range(1, channels + 1)
        count = len(self.chosen)
        self._columns = [channel - 1 for channel in self.chosen] if choice.channels else None
        self._mix = choice.mix
        self._fade = max(1, round(rate_hz * _FADE_S))
        self._mean = np.full(count, 1 / count, np.float32)
        self._power = np.zeros((count, count))
        self._levels = np.full(count, -np.inf)
        self._floors = np.full(count, np.inf)
        self._rises = np.zeros(count)
        self._steady = np.zeros(count, np.int64)
        self._loudest = 0
        self._alone = False
        self.powers = np.zeros(count)
        self.silent = np.zeros(count, np.bool_)
        self.inverted = np.zeros(count, np.bool_)
        self.cancels = False
        self.weights: NDArray[np.float32] | None = None

    def select(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the chosen channels of frames of the source."""
        return frames if self._columns is None else frames[:, self._columns]

    def mix(self, chosen: Frames) -> Mono:
        """Return the next frames of the chosen channels as one channel; about 100 ms at a time."""
        rows = np.ascontiguousarray(chosen.T)  # many times as fast to reckon with
        centred = rows - rows.mean(axis=1, keepdims=True)  # a constant is no sound
        power = (centred @ centred.T).astype(np.float64) / max(1, len(chosen))
        self.powers = np.diag(power)
        if len(rows) == 1 or not len(chosen):
            return np.asarray(chosen[:, 0])
        self._observe(power)
        before, now = self.weights, self._decided()
        self.weights = now
        mono = self._weighed(rows, now)
        if before is not None and not np.array_equal(before, now):
            length = min(self._fade, len(chosen))
            share = np.arange(1, length + 1, dtype=np.float32) / np.float32(length + 1)
            fading = before[:, None] + (now - before)[:, None] * share
            mono[:length] = (rows[:, :length] * fading).sum(axis=0)
        return mono

    def _weighed(self, rows: NDArray[np.float32], weights: NDArray[np.float32]) -> Mono:
        if np.array_equal(weights, self._mean):
            return np.asarray(rows.mean(axis=0, dtype=np.float32))
        used = np.flatnonzero(weights)
        if len(used) == 1 and weights[used[0]] == 1:
            return np.array(rows[used[0]])
        return np.asarray(weights @ rows, np.float32)

    def _observe(self, power: NDArray[np.float64]) -> None:
        self._power = _MEMORY * self._power + power
        level = 10 * np.log10(np.maximum(self.powers, _FLOOR))
        self._levels = np.maximum(level, self._levels - _FADING_DB)
        idle = self._idle(level)
        below = np.where(idle, -np.inf, self._levels).max() - self._levels
        self.silent = np.where(self.silent, below > _HEARD_DB, below > _SILENT_DB) | idle
        known = np.where(self.silent, 0.0, np.diag(self._power))
        loudest = int(known.argmax())
        if known[loudest] > _LOUDER * known[self._loudest] or self.silent[self._loudest]:
            self._loudest = loudest
        scale = np.sqrt(known * known[self._loudest])
        likeness = self._power[self._loudest] / np.maximum(scale, _FLOOR)
        inverted = np.where(self.inverted, likeness < _UPRIGHT, likeness < _INVERTED)
        self.inverted = inverted & ~self.silent & (np.arange(len(known)) != self._loudest)
        heard = ~self.silent
        self.cancels = self._taken_away(self._mean * heard, self.cancels)

    def _idle(self, level: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which channels have long given the same, noise or hum of whatever level, while another one speaks."""
        self._floors = np.minimum(level, self._floors + _FADING_DB)
        self._rises = np.maximum(level - self._floors, self._rises - _FADING_DB)
        self._steady = np.where(self._rises < _STEADY_DB, self._steady + 1, 0)
        speaks = bool((self._rises >= _SPEAKING_DB).any())
        return np.asarray((self._steady >= _STEADY_BLOCKS) & speaks)

    def _taken_away(self, weights: NDArray[np.float32], was: bool) -> bool:
        """Whether channels weighed so take each other away; `was` so before."""
        apart = float((weights**2 * np.diag(self._power)).sum())
        together = float(weights @ self._power @ weights)
        return apart > _FLOOR and together < (_ADDS if was else _CANCELS) * apart

    def _decided(self) -> NDArray[np.float32]:
        count = len(self._mean)
        if self._mix == "mean":
            return self._mean
        if self._mix == "first":
            return _only(0, count)
        if self._mix == "loudest":
            return _only(self._loudest, count)
        heard = ~self.silent
        weights = np.where(heard, np.where(self.inverted, -1.0, 1.0) / heard.sum(), 0.0).astype(np.float32)
        self._alone = self._taken_away(weights, self._alone)
        weights = _only(self._loudest, count) if self._alone else weights
        # Another reference may turn all of them at once, which nobody would hear but for the turn itself.
        turned = self.weights is not None and float(weights @ self._power @ self.weights) < 0
        return -weights if turned else weights


def _only(channel: int, count: int) -> NDArray[np.float32]:
    weights = np.zeros(count, np.float32)
    weights[channel] = 1
    return weights
