"""A device's line of blocks in virtual time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.capture.continuity import Continuity, Item
from minuted_daemon.adapters.capture.protocol.frames import Captured
from minuted_daemon.adapters.capture.resampling import Rendered, Silence
from minuted_daemon.adapters.capture.worker.device_clock import Callback, GapDetector, StreamClock
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.capture import AudioBlock, CaptureHealth, Filled
from minuted_daemon.service.session.wall_clock import WallClock

LATENCY_S = 0.2
WALL_S = 1_700_000_000.0


class Source:
    """Feeds a line as a worker would; sample values tell the worker and the block."""

    def __init__(self) -> None:
        self.line = Continuity()
        self.items: list[Item] = []

    def block(self, worker: int, index: int, captured_s: float, now: float | None = None, *silences: Silence) -> None:
        now = captured_s + 0.1 + LATENCY_S if now is None else now
        self.items += self.line.advance(now)
        value = worker * 1_000 + index
        rendered = Rendered(index, np.full(1600, value, np.int16), np.full(2400, value, np.int16), silences)
        self.items += self.line.feed(worker, Captured(rendered, captured_s, WALL_S + captured_s), now)

    def blocks(self) -> list[AudioBlock]:
        return [item for item in self.items if isinstance(item, AudioBlock)]

    def healths(self) -> list[Health]:
        return [item.health for item in self.items if isinstance(item, CaptureHealth)]

    def heard(self) -> list[int]:
        return [-1 if block.filled else int(block.pcm[0]) for block in self.blocks()]


def test_a_working_devices_blocks_pass_as_they_are() -> None:
    source = Source()
    for index in range(50):
        source.block(0, index, 100 + index * 0.1002)
    assert source.heard() == list(range(50))
    assert source.healths() == []


def test_a_devices_gap_is_told_with_its_place() -> None:
    source = Source()
    source.block(0, 0, 100.0, None, Silence(100, 900))
    assert source.blocks()[0].filled == (Filled(100, 900, "DEVICE_GAP"),)


def test_silence_comes_in_real_time_after_a_second() -> None:
    source = Source()
    for index in range(10):
        source.block(0, index, 100 + index * 0.1)
    last_s = 100.9 + 0.1 + LATENCY_S
    assert source.line.advance(last_s + 0.99) == []
    given_before = len(source.blocks())
    times = []
    for _ in range(20):
        deadline_s = source.line.next_deadline()
        assert deadline_s is not None
        source.items += source.line.advance(deadline_s)
        times.append(deadline_s)
    assert source.healths() == [Health.DOWN]
    assert len(source.blocks()) - given_before == 21  # the arrival latency makes two due at first
    assert np.diff(times[1:]) == pytest.approx(0.1, abs=1e-5)
    assert np.diff([block.wall_s for block in source.blocks()]) == pytest.approx(0.1, abs=1e-5)


def test_audio_that_comes_within_the_second_is_not_lost() -> None:
    source = Source()
    for index in range(10):
        source.block(0, index, 100 + index * 0.1)
    for index in range(10, 19):
        source.block(0, index, 100 + index * 0.1, now=102.1)
    assert source.heard() == list(range(19))


def test_late_audio_takes_only_the_places_that_are_still_free() -> None:
    source = Source()
    for index in range(10):
        source.block(0, index, 100 + index * 0.1)
    source.items += source.line.advance(102.55)  # blocks 10 to 14 are a second late by now
    for index in range(10, 25):
        source.block(0, index, 100 + index * 0.1, now=102.55)
    assert source.heard() == [*range(10), *[-1] * 5, *range(15, 25)]
    assert source.healths() == [Health.DOWN, Health.UP]


def test_a_new_worker_goes_on_where_the_clock_stands() -> None:
    source = Source()
    for index in range(10):
        source.block(0, index, 100 + index * 0.1)
    source.items += source.line.lose("WORKER_FAILED", "")
    source.items += source.line.lose("WORKER_FAILED", "")
    for index in range(5):
        source.block(1, index, 104 + index * 0.1)
    assert source.heard() == [*range(10), *[-1] * 30, *range(1_000, 1_005)]
    assert source.healths() == [Health.DOWN, Health.UP]
    walls = [block.wall_s for block in source.blocks()]
    assert walls[40] == pytest.approx(WALL_S + 104)


def test_nothing_is_due_before_the_first_audio() -> None:
    line = Continuity()
    assert line.next_deadline() is None
    assert line.advance(1e9) == []


def test_a_line_may_begin_without_its_device() -> None:
    source = Source()
    source.line.begin(100.0, WALL_S)
    source.items += source.line.lose("DEVICE_ABSENT", "")
    source.items += source.line.advance(104.0)
    assert [block.filled[0].reason for block in source.blocks()] == ["DEVICE_ABSENT"] * 30
    source.block(0, 0, 104.5)
    assert source.healths() == [Health.DOWN, Health.UP]
    assert source.heard() == [*[-1] * 45, 0]
    assert source.blocks()[44].wall_s == pytest.approx(WALL_S + 4.4)
    source.items += source.line.lose("WORKER_FAILED", "")
    source.items += source.line.advance(106.0)
    assert source.blocks()[-1].filled[0].reason == "DEVICE_LOST"


def test_a_line_at_rest_is_silence_in_real_time_and_misses_nothing() -> None:
    source = Source()
    for index in range(10):
        source.block(0, index, 100 + index * 0.1)
    source.line.rest()
    source.items += source.line.advance(111.0)
    assert len(source.blocks()) == 110
    assert source.healths() == []
    source.line.wake(111.0, patience_s=4.0)
    source.items += source.line.advance(112.55)
    assert source.blocks()[-1].filled[0].reason == "DEVICE_OPENING"
    source.block(1, 0, 112.5)
    assert source.healths() == []
    assert source.heard()[110:] == [*[-1] * 15, 1_000]
    walls = [block.wall_s for block in source.blocks()]
    assert np.diff(walls) == pytest.approx(0.1, abs=1e-3)


def test_a_device_that_does_not_come_back_after_a_rest_is_missed_in_time() -> None:
    source = Source()
    source.block(0, 0, 100.0)
    source.line.rest()
    source.line.wake(200.0, patience_s=4.0)
    source.items += source.line.advance(203.9)
    assert source.healths() == []
    source.items += source.line.advance(204.1)
    assert source.healths() == [Health.DOWN]


def test_a_device_lost_before_a_rest_counts_as_new_after_it() -> None:
    source = Source()
    source.block(0, 0, 100.0)
    source.items += source.line.lose("DEVICE_ENDED", "")
    source.line.rest()
    source.line.wake(200.0, patience_s=4.0)
    source.items += source.line.lose("DEVICE_FAILED", "")
    assert source.healths() == [Health.DOWN, Health.DOWN]


@pytest.mark.parametrize("reason", ["DEVICE_MOVED", "DEFAULT_CHANGED"])
def test_the_silence_after_a_move_says_so(reason: str) -> None:
    source = Source()
    source.block(0, 0, 100.0)
    source.items += source.line.lose(reason, "")
    source.block(1, 0, 101.0)
    source.items += source.line.lose("WORKER_FAILED", "")
    source.block(2, 0, 102.0)
    reasons = [block.filled[0].reason for block in source.blocks() if block.filled]
    assert reasons == [reason] * 9 + ["DEVICE_LOST"] * 9


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_clock_error_over_an_hour_moves_the_wall_time_and_nothing_else(ppm: int) -> None:
    """With the callbacks of a sound server, up to 30 ms late, through all that looks at time."""
    rate_hz, frames, speed = 48_000, 4_800, 1 + ppm * 1e-6
    gaps, clock, line, wall = GapDetector(rate_hz), StreamClock(rate_hz, knows_age=False), Continuity(), WallClock()
    late_s = np.random.default_rng(ppm % 1_000).uniform(0, 0.03, 36_000)
    worst_s = 0.0
    for index in range(36_000):
        captured_s = index * 0.1 / speed  # the true time of the block's first sample
        now = captured_s + 0.1 / speed + float(late_s[index])
        callback = Callback(b"", frames, index * 0.1 / speed, 0.0, now)
        assert gaps.observe(callback, clock.late_s(callback, index * frames)) == 0
        clock.observe(callback, index * frames)
        block = Rendered(index, np.zeros(1600, np.int16), np.zeros(2400, np.int16))
        monotonic_s = clock.monotonic_s(index * 0.1)
        assert line.advance(now) == []
        (item,) = line.feed(0, Captured(block, monotonic_s, WALL_S + monotonic_s), now)
        assert isinstance(item, AudioBlock)
        assert not item.filled
        wall.observe(Sample(index * 1600), item.wall_s)
        worst_s = max(worst_s, abs(wall.wall_s(Sample(index * 1600)) - WALL_S - captured_s))
    assert worst_s < 0.1


def test_a_clock_that_is_set_is_followed_and_a_wobble_is_not() -> None:
    line = Continuity()
    walls = []
    for index, error_s in enumerate((0, 0, -0.15, 0, -3_600, -3_600)):
        rendered = Rendered(index, np.zeros(1600, np.int16), np.zeros(2400, np.int16))
        captured = Captured(rendered, 100 + index * 0.1, WALL_S + index * 0.1 + error_s)
        (block,) = line.feed(0, captured, 100.3 + index * 0.1)
        assert isinstance(block, AudioBlock)
        walls.append(block.wall_s)
    assert walls[2] > walls[1]
    assert walls[4] == pytest.approx(WALL_S - 3_600 + 0.4)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.0, 4.0), st.floats(0.0, 0.4)),
        max_size=40,
    )
)
def test_nothing_is_doubled_and_health_alternates_whatever_happens(faults: list[tuple[bool, float, float]]) -> None:
    source = Source()
    now = captured_s = 100.0
    worker = index = 0
    for dies, pause_s, late_s in [(False, 0.0, 0.0), *faults]:
        if dies:
            source.items += source.line.lose("WORKER_FAILED", "")
            worker, index = worker + 1, 0
        elif pause_s > 1:  # the worker counted the gap and filled it itself
            index += round(pause_s / 0.1)
        captured_s += pause_s
        for _ in range(5):
            now = max(now, captured_s + 0.1 + late_s)
            source.block(worker, index, captured_s, now)
            index, captured_s = index + 1, captured_s + 0.1
    assert all(block.pcm.shape == (1600,) for block in source.blocks())
    healths = source.healths()
    assert healths == [Health.DOWN, Health.UP] * (len(healths) // 2)
    heard = [value for value in source.heard() if value >= 0]
    assert len(set(heard)) == len(heard)
