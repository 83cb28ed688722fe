"""The way of a session's records to the store: order, batches, faults, and the rule for full."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import structlog

from minuted_daemon.core.coverage import Coverage, Ledger, interval_claim
from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Record,
    SessionId,
    SpeakerId,
    SpeakerRecord,
    TurnId,
    TurnLife,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import Sample, samples, seconds
from minuted_daemon.errors import StoreError
from minuted_daemon.service.coverage import open_claims
from minuted_daemon.service.persistence.losses import MAX_LOSSES, NOT_STORED, Losses
from minuted_daemon.service.persistence.write_behind import LONGEST_PAUSE_S, WriteBehindQueue
from tests.fakes_service.virtual_time import virtual_time

SESSION = SessionId("s")


def turn(number: int) -> TurnRecord:
    """A turn of 2 s, 2 s behind the one before."""
    return TurnRecord(
        TurnId(f"t{number}"),
        SESSION,
        Sample(samples(4.0 * number)),
        Sample(samples(4.0 * number + 2.0)),
        None,
        Attribution.UNKNOWN,
        "",
        TextSource.NONE,
        TurnLife.FINAL,
        0.0,
    )


def interval(number: int, kind: IntervalKind, reason: str) -> IntervalRecord:
    start = Sample(samples(4.0 * number))
    return IntervalRecord(IntervalId(f"{kind.value}{number}"), SESSION, kind, start, Sample(start + 1600), 0.0, reason)


def lengths(losses: Iterable[IntervalRecord]) -> list[tuple[float, float]]:
    return [(seconds(loss.start), seconds(loss.end)) for loss in losses]


def speaker(number: int) -> SpeakerRecord:
    return SpeakerRecord(SpeakerId(f"p{number}"), SESSION, f"S{number}")


class Disk:
    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.points: list[WallPoint] = []
        self.fault: Exception | None = None
        self.poison = ""
        self.attempts = 0
        self.healths: list[str] = []
        self.intervals: dict[str, IntervalRecord] = {}

    async def write(self, records: Sequence[Record]) -> Sequence[Record]:
        self.attempts += 1
        await asyncio.sleep(0.01)
        if self.fault is not None:
            raise self.fault
        if self.poison in [record.id for record in records]:
            raise ZeroDivisionError
        self.transactions.append([record.id for record in records])
        for record in records:
            if isinstance(record, IntervalRecord):
                self.intervals[record.id] = record
        return records

    async def write_points(self, points: Sequence[WallPoint]) -> None:
        if self.fault is not None:
            raise self.fault
        self.points += points

    def health(self, error: StoreError | None) -> None:
        self.healths.append(error.reason if error else "")

    def stamp(self, record: Record) -> Record:
        return record

    def stored(self, records: Sequence[Record]) -> None:
        pass

    def wall_s(self, at: Sample) -> float:
        return seconds(at)

    @property
    def kept(self) -> list[str]:
        return [record for transaction in self.transactions for record in transaction]


@asynccontextmanager
async def writing(disk: Disk, max_waiting: int = 1000) -> AsyncIterator[WriteBehindQueue]:
    log = structlog.get_logger()
    ids = count()
    losses = Losses(SESSION, lambda: f"loss{next(ids)}", disk)
    writer = WriteBehindQueue(disk, losses, log, max_waiting=max_waiting)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(writer.run())
        yield writer
        task.cancel()


@virtual_time
async def test_what_piled_up_during_a_write_is_one_transaction_in_order() -> None:
    disk = Disk()
    async with writing(disk) as writer:
        writer.put([turn(1)])
        await asyncio.sleep(0.005)
        writer.put([speaker(1), turn(2)])
        writer.put([turn(3)])
        assert await writer.flush(1.0)
    assert disk.transactions == [["t1"], ["p1", "t2", "t3"]]


@virtual_time
async def test_a_failing_store_is_tried_again_until_it_works() -> None:
    disk = Disk()
    disk.fault = StoreError("DISK_FULL", "full")
    async with writing(disk) as writer:
        for number in range(5):
            writer.put([turn(number)])
        writer.put_point(WallPoint(Sample(0), 1.0))
        await asyncio.sleep(60.0)
        assert disk.attempts < 20, "with pauses"
        assert writer.waiting == 5
        assert not await writer.flush(0.1)
        disk.fault = None
        assert await writer.flush(10.0)
    assert disk.kept == ["t0", "t1", "t2", "t3", "t4"]
    assert len(disk.points) == 1
    assert disk.healths == ["DISK_FULL", ""]


@virtual_time
async def test_when_full_the_oldest_turns_go_and_speakers_stay() -> None:
    disk = Disk()
    disk.fault = StoreError("DISK_FULL", "full")
    async with writing(disk, max_waiting=10) as writer:
        for number in range(20):
            writer.put([speaker(number), turn(number)] if number < 3 else [turn(number)])
        await asyncio.sleep(1.0)
        assert writer.waiting == 10
        disk.fault = None
        assert await writer.flush(10.0)
    assert [record for record in disk.kept if record.startswith("p")] == ["p0", "p1", "p2"]
    assert disk.kept[-1] == "t19"
    assert [record for record in disk.kept if record.startswith("t")] == [f"t{n}" for n in range(13, 20)]
    # What went is lost, and no silence: each turn by itself, as there are 2 s between them.
    assert lengths(disk.intervals.values()) == [(4.0 * n, 4.0 * n + 2.0) for n in range(13)]
    assert {(loss.kind, loss.reason) for loss in disk.intervals.values()} == {(IntervalKind.LOST, NOT_STORED)}
    assert [loss.start_wall_s for loss in disk.intervals.values()] == [4.0 * n for n in range(13)]


@virtual_time
async def test_what_was_shed_is_lost_in_the_ledger_before_and_after_it_is_stored() -> None:
    disk = Disk()
    disk.fault = StoreError("DISK_FULL", "full")
    heard = Sample(samples(80.0))
    async with writing(disk, max_waiting=10) as writer:
        for number in range(20):
            writer.put([turn(number)])
        ledger = Ledger(heard)
        ledger.enter(sorted(open_claims((), writer.unstored(), ()), key=lambda claim: claim.start))
        assert ledger.close() == Coverage(0, samples(40.0), 0, samples(20.0), {NOT_STORED: samples(20.0)})
        disk.fault = None
        assert await writer.flush(10.0)
        assert list(writer.unstored()) == []
    ledger = Ledger(heard)
    ledger.enter(interval_claim(one.start, one.end, one.kind, one.reason) for one in disk.intervals.values())
    assert ledger.close().lost == {NOT_STORED: samples(20.0)}


@virtual_time
async def test_pauses_and_retractions_are_no_losses_and_a_pause_never_goes() -> None:
    disk = Disk()
    disk.fault = StoreError("DISK_FULL", "full")
    async with writing(disk, max_waiting=2) as writer:
        writer.put([interval(0, IntervalKind.MUTED, "PAUSED")])
        writer.put([replace(turn(1), life=TurnLife.RETRACTED)])
        writer.put([interval(2, IntervalKind.GAP, "DEVICE_LOST")])
        for number in range(3, 6):
            writer.put([turn(number)])
        disk.fault = None
        assert await writer.flush(10.0)
    assert disk.kept[-2:] == ["muted0", "t5"]
    assert lengths(one for one in disk.intervals.values() if one.kind is IntervalKind.LOST) == [
        (8.0, 8.1),
        (12.0, 14.0),
        (16.0, 18.0),
    ]


@virtual_time
async def test_losses_stay_few_and_cover_all_that_went() -> None:
    disk = Disk()
    disk.fault = StoreError("DISK_FULL", "full")
    async with writing(disk, max_waiting=10) as writer:
        for number in range(1000):
            writer.put([turn(number)])
        unstored = list(writer.unstored())
        lost = [record for record in unstored if isinstance(record, IntervalRecord)]
        assert len(lost) <= MAX_LOSSES
        assert len(unstored) - len(lost) <= 10, "nothing is left of what went"
        for number in range(990):
            assert any(loss.start <= turn(number).start and turn(number).end <= loss.end for loss in lost)
        assert all(loss.end <= turn(990).start for loss in lost)
        # One that grows while it is being written is written again, under its id.
        disk.fault = None
        await asyncio.sleep(LONGEST_PAUSE_S)
        disk.fault = StoreError("DISK_FULL", "full")
        for number in range(1000, 1100):
            writer.put([turn(number)])
        disk.fault = None
        assert await writer.flush(10.0)
    covered = list(disk.intervals.values())
    for number in range(1100):
        stretch = turn(number)
        there = stretch.id in disk.kept
        assert there or any(loss.start <= stretch.start and stretch.end <= loss.end for loss in covered)


@virtual_time
async def test_a_record_that_meets_a_bug_does_not_block_the_others() -> None:
    disk = Disk()
    disk.poison = "t2"
    async with writing(disk) as writer:
        for number in range(5):
            writer.put([turn(number)])
        assert await writer.flush(10.0)
    assert [record for record in disk.kept if record.startswith("t")] == ["t0", "t1", "t3", "t4"]
    assert lengths(disk.intervals.values()) == [(8.0, 10.0)], "it is lost, and no silence"
