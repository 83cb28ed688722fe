"""How fast something grows: the slope of a straight line through figures, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

SURE = 0.95


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth per hour, and the half width of its confidence interval (95 %)."""

    per_hour: float
    plus_minus: float

    @property
    def least(self) -> float:
        """The slowest growth that fits."""
        return self.per_hour - self.plus_minus

    def __str__(self) -> str:
        return f"{self.per_hour:+.3f} ± {self.plus_minus:.3f} an hour"


def slope(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit a line. Figures in a row are alike, so they count as fewer: as many as an AR(1) series of theirs holds.

    Raises ValueError for fewer than four figures.
    """
    if len(times_s) < 4:
        raise ValueError("a slope takes four figures at least")
    hours, figures = np.asarray(times_s) / 3600.0, np.asarray(values, dtype=np.float64)
    if not np.ptp(figures):
        return Slope(0.0, 0.0)
    fit = stats.linregress(hours, figures)
    rest = figures - (fit.intercept + fit.slope * hours)
    power = float(rest @ rest)
    alike = min(0.99, max(0.0, float(rest[1:] @ rest[:-1]) / power)) if power else 0.0
    # The error of a slope grows by this factor where neighbours are correlated.
    wider = ((1 + alike) / (1 - alike)) ** 0.5
    freedom = max(1.0, len(figures) * (1 - alike) / (1 + alike) - 2)
    return Slope(float(fit.slope), float(stats.t.ppf((1 + SURE) / 2, freedom) * fit.stderr * wider))
