"""How far audio sent to the transcriber lags capture: long enough that nearly every speaker event is known by then."""

from bisect import bisect_left, insort
from collections import deque

from minuted_daemon.core.samples import RATE_HZ, samples

_WINDOW = 200
_ENOUGH = 20
_QUANTILE = 0.99
_START = samples(0.5)
_LEAST = samples(0.2)
_OUTLIER = samples(2.0)
_SHRINK_STEP = samples(0.1)
_SHRINK_EVERY = 60 * RATE_HZ


class HoldBack:
    """Follows the 99th percentile of the event lags: grows at once, shrinks by 0.1 s a minute."""

    def __init__(self, fixed_s: float | None, expected_lag_s: float) -> None:
        """`fixed_s` switches following off. `expected_lag_s` is used until lags were measured."""
        self._fixed = fixed_s is not None
        self.length = samples(fixed_s) if fixed_s is not None else max(_START, samples(expected_lag_s))
        self._expected = samples(expected_lag_s)
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []
        self._shrunk_at = 0

    def expect(self, lag_s: float, now: int) -> None:
        """An engine with this lag serves from now on: if it is longer, the hold-back grows at once."""
        if samples(lag_s) <= self._expected:
            return
        self._expected = samples(lag_s)
        if not self._fixed and self._expected > self.length:
            self.length = self._expected
            self._shrunk_at = now

    def observe(self, lag: int) -> None:
        """Take one event's lag: samples sent by its arrival less its position."""
        # An engine that always lags by more than the usual outlier is not an outlier.
        if self._fixed or not 0 <= lag <= max(_OUTLIER, 2 * self._expected):
            return
        if len(self._recent) == _WINDOW:
            oldest = self._recent.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
        self._recent.append(lag)
        insort(self._sorted, lag)

    def advance(self, now: int) -> None:
        """Adapt to what was observed."""
        if self._fixed or len(self._sorted) < _ENOUGH:
            return
        wanted = max(_LEAST, self._percentile())
        if wanted > self.length:
            self.length = wanted
            self._shrunk_at = now
        elif now - self._shrunk_at >= _SHRINK_EVERY:
            self.length = max(wanted, self.length - _SHRINK_STEP)
            self._shrunk_at = now

    def _percentile(self) -> int:
        place = _QUANTILE * (len(self._sorted) - 1)
        low = int(place)
        high = min(low + 1, len(self._sorted) - 1)
        return round(self._sorted[low] + (place - low) * (self._sorted[high] - self._sorted[low]))
