"""What is odd about a source's channels for so long that a person should know: they cancel, clip, or are silent."""

from collections.abc import Sequence

import numpy as np

from minuted_daemon.core.channels.downmix import Downmix, Frames

CHANNELS_CANCEL = "CHANNELS_CANCEL"
CHANNEL_SILENT = "CHANNEL_SILENT"
CLIPPING = "CLIPPING"

_CANCELS_S = 3.0
_SILENT_S = 60.0
_CLIPS_S = 2.0
_FULL_SCALE = 0.9995
_CLIPPED = 3
"""Samples at full scale in a block from which on it counts as clipped: one may be a peak that just fits."""
_LEAK = 0.2
"""How fast what was odd is forgotten: five times as slowly as it was gathered."""
_SILENCE = 1e-5
_DEAD = 3e-4
"""Beside a channel that carries sound: -70 dB of full scale, which no room is as quiet as."""


class ChannelRemarks:
    """One source's. `remark`: the reason and one sentence for a person, both empty while all is well."""

    def __init__(self, downmix: Downmix, mix: str) -> None:
        self.remark = ("", "")
        self._downmix = downmix
        self._mix = mix
        self._odd_s = {CHANNELS_CANCEL: 0.0, CHANNEL_SILENT: 0.0, CLIPPING: 0.0}
        self._silent: tuple[int, ...] = ()

    def observe(self, chosen: Frames, length_s: float) -> bool:
        """Take the frames that were mixed last; return whether the remark changed."""
        downmix = self._downmix
        peak = max(float(chosen.max(initial=0.0)), -float(chosen.min(initial=0.0)))
        clipped = peak >= _FULL_SCALE and _clips(chosen)
        self._observe_silence(peak, length_s)
        self._gather(CHANNELS_CANCEL, downmix.cancels, length_s, _CANCELS_S)
        self._gather(CLIPPING, clipped, length_s, _CLIPS_S)
        remark = self._told()
        changed, self.remark = remark[0] != self.remark[0], remark if remark[0] != self.remark[0] else self.remark
        return changed

    def _observe_silence(self, peak: float, length_s: float) -> None:
        numbers = tuple(self._downmix.chosen)
        dead = self._downmix.powers < _DEAD**2
        if peak <= _SILENCE:
            silent = numbers
        elif dead.all():
            return  # a pause tells nothing
        else:
            silent = tuple(number for number, is_dead in zip(numbers, dead, strict=True) if is_dead)
        still = tuple(number for number in self._silent if number in silent)
        if not still:
            self._odd_s[CHANNEL_SILENT] = 0.0
        self._silent = still or silent
        self._gather(CHANNEL_SILENT, bool(silent), length_s, _SILENT_S)

    def _gather(self, reason: str, odd: bool, length_s: float, limit_s: float) -> None:
        more_s = length_s if odd else -_LEAK * length_s
        self._odd_s[reason] = min(2 * limit_s, max(0.0, self._odd_s[reason] + more_s))

    def _told(self) -> tuple[str, str]:
        told = self.remark[0]
        limits_s = {CHANNELS_CANCEL: _CANCELS_S, CHANNEL_SILENT: _SILENT_S, CLIPPING: _CLIPS_S}
        for reason, limit_s in limits_s.items():
            if self._odd_s[reason] >= limit_s or (reason == told and self._odd_s[reason] > 0):
                return reason, self._sentence(reason)
        return "", ""

    def _sentence(self, reason: str) -> str:
        if reason == CHANNELS_CANCEL:
            what = "the source's channels cancel each other: one is wired the wrong way round"
            remedy = "it is turned round" if self._mix == "best" else "use mix best, or choose one channel"
            return f"{what}; {remedy}" if self._mix in ("best", "mean") else f"{what}; only one is used"
        if reason == CLIPPING:
            return "the source clips: turn its level down"
        if len(self._silent) == len(self._downmix.chosen):
            return "the source is silent: is it muted or unplugged?"
        return f"{_channels(self._silent)} silent; check the microphone, or choose other channels"


def _clips(chosen: Frames) -> bool:
    return bool(np.count_nonzero(np.abs(chosen) >= _FULL_SCALE, axis=0).max() >= _CLIPPED)


def _channels(numbers: Sequence[int]) -> str:
    listed = ", ".join(str(number) for number in numbers)
    return f"channel {listed} is" if len(numbers) == 1 else f"channels {listed} are"
