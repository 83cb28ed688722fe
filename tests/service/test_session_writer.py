"""The way of a session's records to the store: order, batches, faults, and the rule for full."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import (
    Record,
    SessionId,
    SpeakerId,
    SpeakerRecord,
    TurnId,
    TurnLife,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.service.writer import Writer
from tests.fakes_service.virtual_time import virtual_time

SESSION = SessionId("s")


def turn(number: int) -> TurnRecord:
    return TurnRecord(
        TurnId(f"t{number}"),
        SESSION,
        Sample(0),
        Sample(1),
        None,
        Attribution.UNKNOWN,
        "",
        TextSource.NONE,
        TurnLife.FINAL,
        0.0,
    )


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

    async def write(self, records: Sequence[Record]) -> Sequence[Record]:
        self.attempts += 1
        await asyncio.sleep(0.01)
        if self.fault is not None:
            raise self.fault
        if self.poison in [record.id for record in records]:
            raise ZeroDivisionError
        self.transactions.append([record.id for record in records])
        return records

    async def write_points(self, points: Sequence[WallPoint]) -> None:
        if self.fault is not None:
            raise self.fault
        self.points += points

    def health(self, error: StoreError | None) -> None:
        self.healths.append(error.reason if error else "")

    @property
    def stored(self) -> list[str]:
        return [record for transaction in self.transactions for record in transaction]


@asynccontextmanager
async def writing(disk: Disk, max_waiting: int = 1000) -> AsyncIterator[Writer]:
    log = structlog.get_logger()
    writer = Writer(disk.write, disk.write_points, lambda record: record, lambda _: None, disk.health, log, max_waiting)
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
    assert disk.stored == ["t0", "t1", "t2", "t3", "t4"]
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
    assert [record for record in disk.stored if record.startswith("p")] == ["p0", "p1", "p2"]
    assert disk.stored[-1] == "t19"
    assert "t0" not in disk.stored


@virtual_time
async def test_a_record_that_meets_a_bug_does_not_block_the_others() -> None:
    disk = Disk()
    disk.poison = "t2"
    async with writing(disk) as writer:
        for number in range(5):
            writer.put([turn(number)])
        assert await writer.flush(10.0)
    assert disk.stored == ["t0", "t1", "t3", "t4"]
