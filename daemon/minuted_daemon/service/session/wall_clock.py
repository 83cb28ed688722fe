"""The map from samples to wall time: the only place where the sample clock and the room's clock meet."""

from collections import deque
from collections.abc import Sequence

from minuted_daemon.core.records import WallPoint
from minuted_daemon.core.samples import Sample, samples, seconds

DRIFT_S = 0.020
"""Drift between the map and a block's wall time that is put into the map."""
STEADY_BLOCKS = 5
"""So many blocks in a row must have drifted: one block that was stamped late is no drift."""
KEPT_POINTS = 512


class WallClock:
    """A session's map from samples to wall time, made of points; between and after them the rate is nominal."""

    def __init__(self, points: Sequence[WallPoint] = ()) -> None:
        """`points`: those of a session that goes on."""
        self._points: deque[WallPoint] = deque(points, maxlen=KEPT_POINTS)
        self._drifted = 0

    def observe(self, at: Sample, wall_s: float) -> WallPoint | None:
        """Compare a block's wall time with the map; return the point to be stored if one had to be added."""
        if self._points:
            drifted = abs(self.wall_s(at) - wall_s) > DRIFT_S
            self._drifted = self._drifted + 1 if drifted else 0
            if self._drifted < STEADY_BLOCKS:
                return None
        self._drifted = 0
        point = WallPoint(at, wall_s)
        self._points.append(point)
        return point

    def sample_at(self, wall_s: float) -> Sample:
        """Return the sample at a wall time after the last point, as the map stands; 0 without any point."""
        if not self._points:
            return Sample(0)
        last = self._points[-1]
        return Sample(last.at + samples(wall_s - last.wall_s))

    def wall_s(self, at: Sample) -> float:
        """Return the wall time of a sample, seconds since 1970; 0.0 before anything was observed."""
        if not self._points:
            return 0.0
        point = self._points[0]
        for later in reversed(self._points):
            if later.at <= at:
                point = later
                break
        return point.wall_s + seconds(at - point.at)
