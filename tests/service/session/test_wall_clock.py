"""The map from samples to wall time."""

import pytest

from minuted_daemon.core.records import WallPoint
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.service.session.wall_clock import WallClock


def test_the_map_follows_drift_and_not_jitter() -> None:
    clock = WallClock()
    stored = []
    for n in range(1000):
        jitter = 0.05 if n % 7 == 0 else 0.0
        stored.append(clock.observe(Sample(n * BLOCK), 500.0 + n * 0.1 * 1.0005 + jitter))
    points = [point for point in stored if point is not None]
    assert points[0] == WallPoint(Sample(0), 500.0 + 0.05)
    assert 2 <= len(points) <= 6
    for at_s in (5, 50, 99):
        assert clock.wall_s(Sample(at_s * 16000)) == pytest.approx(500.0 + at_s * 1.0005, abs=0.075)


def test_the_map_takes_a_jump_and_keeps_what_was_before() -> None:
    clock = WallClock()
    for n in range(50):
        clock.observe(Sample(n * BLOCK), 500.0 + n * 0.1 + (3600.0 if n >= 20 else 0.0))
    assert clock.wall_s(Sample(10 * BLOCK)) == pytest.approx(501.0)
    assert clock.wall_s(Sample(40 * BLOCK)) == pytest.approx(4104.0)
