"""Stretches that hold no text become interval records, one for each stretch."""

from minuted_daemon.core.records import IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import BLOCK, Sample, samples
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.merge.intervals import IntervalRecords, IntervalTracker


class Clock:
    """A sample clock that began 1000 s after 1970."""

    def wall_s(self, at: Sample) -> float:
        return 1000.0 + at / 16000


def tracker() -> IntervalTracker:
    return IntervalTracker(IntervalKind.GAP, IntervalRecords(SessionId("s"), UlidSource(), Clock()))


def test_neighbouring_stretches_are_one_interval_stored_at_its_end() -> None:
    gaps = tracker()
    assert gaps.add(Sample(800), Sample(1600), "DEVICE_LOST") == []
    assert gaps.passed(Sample(1600)) == []
    assert gaps.add(Sample(1600), Sample(2000), "DEVICE_LOST") == []
    (stored,) = gaps.passed(Sample(3200))
    assert (stored.start, stored.end, stored.reason) == (800, 2000, "DEVICE_LOST")
    assert stored.start_wall_s == 1000.05
    assert gaps.passed(Sample(4800)) == []


def test_another_reason_is_another_interval() -> None:
    gaps = tracker()
    gaps.add(Sample(0), Sample(1600), "DEVICE_LOST")
    (first,) = gaps.add(Sample(1600), Sample(3200), "OVERRUN")
    (second,) = gaps.close()
    assert (first.reason, second.reason) == ("DEVICE_LOST", "OVERRUN")
    assert first.id != second.id


def test_a_long_gap_is_told_while_it_lasts_and_not_with_every_block() -> None:
    gaps = tracker()
    stored: list[IntervalRecord] = []
    blocks = 3 * 600
    for n in range(blocks):
        stored += gaps.add(Sample(n * BLOCK), Sample((n + 1) * BLOCK), "DEVICE_LOST")
    stored += gaps.close()
    assert len({one.id for one in stored}) == 1
    assert [one.end for one in stored[:2]] == [samples(5), samples(65)]
    assert len(stored) == 4
    assert stored[-1].end == blocks * BLOCK
