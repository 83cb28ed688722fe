import pytest

from minuted_daemon.adapters.capture.worker.device_clock import Callback, GapDetector, RunawayDetector, StreamClock

RATE = 48_000
FRAMES = 4_800


def callback(adc_s: float, monotonic_s: float = 0.0, age_s: float = 0.0) -> Callback:
    return Callback(b"", FRAMES, adc_s, adc_s + age_s, monotonic_s)


def settled() -> tuple[GapDetector, float]:
    gaps = GapDetector(RATE)
    for number in range(25):
        assert gaps.observe(callback(number * 0.1), late_s=0.0) == 0
    return gaps, 2.5


@pytest.mark.parametrize(("jump_s", "missing"), [(0.0, 0), (0.015, 0), (0.03, 1_440), (2.2, 105_600)])
def test_only_a_jump_beyond_20_ms_is_a_gap(jump_s: float, missing: int) -> None:
    gaps, now = settled()
    assert gaps.observe(callback(now + jump_s), late_s=jump_s) == pytest.approx(missing, abs=1)
    assert gaps.observe(callback(now + jump_s + 0.1), late_s=0.0) == 0


def test_a_slow_clock_is_no_gap_however_long_it_runs() -> None:
    gaps = GapDetector(RATE)
    assert not any(gaps.observe(callback(number * 0.1 * 1.0005), late_s=0.0) for number in range(100_000))


def test_a_jump_without_late_audio_is_no_gap() -> None:
    gaps, now = settled()
    assert gaps.observe(callback(now + 0.2), late_s=0.0) == 0


def test_a_jump_that_makes_up_for_one_backwards_is_no_gap() -> None:
    gaps, now = settled()
    assert gaps.observe(callback(now - 0.2), late_s=0.5) == 0
    assert gaps.observe(callback(now + 0.1), late_s=0.5) == 0
    assert gaps.observe(callback(now + 0.5), late_s=0.5) == pytest.approx(0.3 * RATE, abs=1)


def test_a_stream_may_settle_first_and_a_long_gap_is_one_even_then() -> None:
    gaps = GapDetector(RATE)
    gaps.observe(callback(0.0), late_s=0.0)
    assert gaps.observe(callback(0.3), late_s=0.2) == 0
    assert gaps.observe(callback(0.4), late_s=0.2) == 0
    assert gaps.observe(callback(2.0), late_s=1.5) == pytest.approx(1.5 * RATE, abs=1)


def test_the_clock_follows_the_earliest_callbacks_and_the_drift() -> None:
    clock = StreamClock(RATE, knows_age=False)
    drift = 1.0002
    for number in range(3_000):
        late_s = 0.3 - 0.1 * (number % 4)  # the device hands over four blocks at once
        clock.observe(callback(0.0, monotonic_s=1_000 + (number + 1) * 0.1 * drift + late_s), number * FRAMES)
    assert clock.monotonic_s(300.0) == pytest.approx(1_000 + 300 * drift, abs=0.03)


def test_a_hardware_age_is_believed_and_a_servers_is_not() -> None:
    hardware, server = StreamClock(RATE, knows_age=True), StreamClock(RATE, knows_age=False)
    for clock in (hardware, server):
        clock.observe(callback(5.0, monotonic_s=100.0, age_s=0.4), 0)
    assert hardware.monotonic_s(0) == pytest.approx(99.6)
    assert server.monotonic_s(0) == pytest.approx(99.9)


def test_a_clock_without_callbacks_has_no_time() -> None:
    with pytest.raises(RuntimeError):
        StreamClock(RATE, knows_age=True).monotonic_s(0)


def test_a_runaway_device_is_noticed_and_a_burst_is_not() -> None:
    def run(faster: float, seconds: float) -> bool:
        detector = RunawayDetector(RATE)
        return any(
            detector.observe(callback(0.0, monotonic_s=number * 0.1 / faster)) for number in range(int(seconds * 10))
        )

    assert run(faster=1.6, seconds=20)
    assert not run(faster=1.3, seconds=20)
    assert not run(faster=1_000, seconds=2)
