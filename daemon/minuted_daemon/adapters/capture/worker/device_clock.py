"""What PortAudio's callbacks say about time: where samples are missing, when they were captured, whether all is sane.

Pure: times come in as numbers. `adc_s` is on a clock of the backend's own, so only differences of it are used.
"""

from collections import deque
from dataclasses import dataclass

GAP_S = 0.02
"""A jump of the ADC clock beyond this, between neighbouring blocks, is a gap. Against a fixed anchor, a device whose
clock is 200 ppm off would show a gap every 100 s."""
_SETTLING_S = 2.0
_SETTLING_GAP_S = 0.4
"""At the start of a stream, PulseAudio's clock jumps by up to 0.2 s, several times, and nothing is missing."""
_TAKEN_BACK_S = 1.0
_NOISE_S = 0.03
_RUNAWAY_RATIO = 1.5
_RUNAWAY_S = 5.0
_LARGEST_AGE_S = 5.0


@dataclass(frozen=True, slots=True)
class Callback:
    """One call of the stream's callback: interleaved int16 samples and the times that came with them."""

    data: bytes
    frames: int
    adc_s: float
    current_s: float
    monotonic_s: float


class GapDetector:
    """Tells how many native samples are missing in front of each callback's.

    The ADC clock says where and how much. Sound servers take some of their jumps back, or make up for a jump backwards
    by one forwards; so a jump must not undo one of the last second, and the audio must really be late by as much.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._expected_s: float | None = None
        self._seen = 0
        self._owed_s = 0.0
        self._owed_since = 0

    def observe(self, callback: Callback, late_s: float) -> int:
        """Return the number of samples lost between the callback before and this one, which is `late_s` late."""
        jump_s = 0.0 if self._expected_s is None else callback.adc_s - self._expected_s
        self._expected_s = callback.adc_s + callback.frames / self._rate_hz
        self._seen += callback.frames
        if self._seen - self._owed_since > _TAKEN_BACK_S * self._rate_hz:
            self._owed_s = 0.0
        if jump_s < -GAP_S:
            self._owed_s -= jump_s
            self._owed_since = self._seen
        elif jump_s > GAP_S and self._owed_s:
            undone_s = min(jump_s, self._owed_s)
            self._owed_s -= undone_s
            jump_s -= undone_s
        least_s = _SETTLING_GAP_S if self._seen <= _SETTLING_S * self._rate_hz else GAP_S
        if jump_s <= least_s or late_s < jump_s - _NOISE_S:
            return 0
        return round(jump_s * self._rate_hz)


class StreamClock:
    """The monotonic time of a stream's sample 0, as the device's own clock would have it now.

    A callback can be late, never early: an earlier estimate counts at once, a later one hardly. What is left is the
    device's drift, which is followed. The age PortAudio gives to a callback's first sample is true for hardware; for
    a sound server it is not (`knows_age` false), and the samples are then taken to be as young as they can be.
    """

    def __init__(self, rate_hz: int, knows_age: bool) -> None:
        self._rate_hz = rate_hz
        self._knows_age = knows_age
        self._origin_s: float | None = None

    def late_s(self, callback: Callback, first_sample: int) -> float:
        """Return how late a callback is whose first sample would be number `first_sample` if none were missing."""
        return 0.0 if self._origin_s is None else self._origin(callback, first_sample) - self._origin_s

    def observe(self, callback: Callback, first_sample: int) -> None:
        """Take a callback whose first sample is number `first_sample`."""
        origin_s = self._origin(callback, first_sample)
        if self._origin_s is None:
            self._origin_s = origin_s
        else:
            error_s = origin_s - self._origin_s
            self._origin_s += error_s * (0.5 if error_s < 0 else 0.01)

    def monotonic_s(self, seconds: float) -> float:
        """Return the monotonic time of a position in the stream. Raises RuntimeError before the first callback."""
        if self._origin_s is None:
            raise RuntimeError("no callback yet")
        return self._origin_s + seconds

    def _origin(self, callback: Callback, first_sample: int) -> float:
        age_s = callback.frames / self._rate_hz
        told_s = callback.current_s - callback.adc_s
        if self._knows_age and age_s < told_s <= _LARGEST_AGE_S:
            age_s = told_s
        return callback.monotonic_s - age_s - first_sample / self._rate_hz


class RunawayDetector:
    """Tells when a device delivers more than 1.5 times real time over 5 s."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._window: deque[tuple[float, int]] = deque()
        self._frames = 0

    def observe(self, callback: Callback) -> bool:
        """Take a callback; true once the device has run away."""
        self._window.append((callback.monotonic_s, callback.frames))
        self._frames += callback.frames
        while self._window[0][0] < callback.monotonic_s - _RUNAWAY_S:
            self._frames -= self._window.popleft()[1]
        return self._frames > _RUNAWAY_RATIO * _RUNAWAY_S * self._rate_hz
