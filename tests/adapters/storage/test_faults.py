"""What befalls a database in use: it is told under its own reason, holds up no reading, and passes without loss."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from minuted_daemon.adapters.storage.database import sqlite_engines as engines
from minuted_daemon.adapters.storage.faults import FAULTS, as_store_error
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.core.records import Record, Seq, SessionState, StoredTurn, WallPoint
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import ConfigError, StoreError
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.persistence.losses import Losses
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.persistence.write_behind import WriteBehindQueue
from tests.adapters.storage.disks import fill_up, locked
from tests.adapters.storage.examples import SESSION, session, turn
from tests.adapters.storage.remains import remains

TURNS = 120


async def failure(store: SqlStore, record: Record) -> StoreError:
    with pytest.raises(StoreError) as raised:
        await store.write([record])
    assert str(store._path) in raised.value.message
    assert (await store.session("boardroom")).id == SESSION  # reading goes on
    return raised.value


async def test_a_lock_of_seconds_is_waited_for(store: SqlStore, path: Path) -> None:
    await store.write([session()])
    with locked(path) as rival:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(store.write([turn(1)]))
            assert (await store.session("boardroom")).id == SESSION
            await asyncio.sleep(0.3)
            assert not waiting.done()
            rival.kill()
    assert [record.seq for record in waiting.result()] == [2]


async def test_a_lock_for_good_is_told_and_passes_with_its_holder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_MS", 50)
    store = await open_store(f"sqlite:///{path}")
    await store.write([session()])
    with locked(path):
        for _ in range(3):
            assert (await failure(store, turn(1))).reason == "DATABASE_LOCKED"
    assert [record.seq for record in await store.write([turn(1)])] == [2]
    await store.close()


@contextlib.contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Have every write behind this length fail, with an error that is none of space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_does_not_write_is_told(store: SqlStore, path: Path) -> None:
    await store.write([session()])
    log_bytes = os.stat(f"{path}-wal").st_size  # noqa: PTH116
    with no_file_longer_than(log_bytes + 100):
        assert (await failure(store, turn(1))).reason == "DISK_FAILED"
        assert (await failure(store, turn(2))).reason == "DISK_FAILED"
    assert [record.seq for record in await store.write([turn(1)])] == [2]
    assert len((await store.turns(SESSION, 10, None)).items) == 1


def remount_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


async def test_a_start_on_a_read_only_disk_is_refused(small_disk: Path) -> None:
    path = small_disk / "minuted.db"
    await (await open_store(f"sqlite:///{path}")).close()
    await asyncio.to_thread(remount_read_only, small_disk)
    for place in (path, small_disk / "another.db"):
        with pytest.raises(ConfigError) as refused:
            await open_store(f"sqlite:///{place}")
        assert refused.value.reason == "DATABASE_UNUSABLE"
        assert "Read-only file system" in refused.value.message


def test_a_disk_that_became_read_only_is_told(small_disk: Path) -> None:
    path = small_disk / "minuted.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    remount_read_only(small_disk)
    with contextlib.closing(sqlite3.connect(path)) as connection, pytest.raises(FAULTS) as fault:
        connection.execute("INSERT INTO t VALUES (1)")
    assert as_store_error(fault.value, path).reason == "DISK_READ_ONLY"


class Sink:
    """One session's way to the store, and what it was told of the store's health."""

    def __init__(self, store: SqlStore, publisher: ChangePublisher) -> None:
        self.told: list[str | None] = []
        self.full, self.well = asyncio.Event(), asyncio.Event()
        self._store = store
        self._publisher = publisher

    def stamp(self, record: Record) -> Record:
        return record

    async def write(self, records: Sequence[Record]) -> Sequence[Record]:
        return await self._publisher.write(records, "boardroom")

    async def write_points(self, points: Sequence[WallPoint]) -> None:
        await self._store.write_wall_points(SESSION, points)

    def stored(self, records: Sequence[Record]) -> None:
        pass

    def health(self, error: StoreError | None) -> None:
        self.told.append(None if error is None else error.reason)
        (self.well if error is None else self.full).set()

    def wall_s(self, at: Sample) -> float:
        return float(at)


async def test_a_disk_filled_to_the_last_byte_loses_and_doubles_nothing(small_disk: Path) -> None:
    """The whole way to the store: what cannot be stored waits, and is stored once when there is room."""
    store = await open_store(f"sqlite:///{small_disk / 'minuted.db'}")
    hub = Hub(store)
    journal = ChangePublisher(store, hub)
    sink = Sink(store, journal)
    losses = Losses(SESSION, lambda: "never", sink)
    writer = WriteBehindQueue(sink, losses, structlog.stdlib.get_logger(), longest_pause_s=0.1)
    seen: list[tuple[Seq, str]] = []

    async def follow() -> None:
        async for delivery in hub.subscribe(None, Seq(0), partials=False):
            item = getattr(delivery, "item", None)
            if isinstance(item, StoredTurn):
                seen.append((item.turn.seq, item.turn.id))
            if len(seen) == TURNS:
                return

    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(writer.run())
        writer.put([session()])
        for number in range(TURNS // 3):
            writer.put([turn(number)])
        assert await writer.flush(5)
        ballast = await asyncio.to_thread(fill_up, small_disk)
        following = tasks.create_task(follow())
        for number in range(TURNS // 3, TURNS):
            writer.put([turn(number, text="word " * 500)])
        await sink.full.wait()
        assert not await writer.flush(0.3)
        stored = (await store.turns(SESSION, 1000, None)).items
        assert TURNS // 3 <= len(stored) < TURNS
        await asyncio.to_thread(ballast.unlink)
        await sink.well.wait()
        assert await writer.flush(5)
        await following
        running.cancel()
    assert sink.told[:1] + sink.told[-1:] == ["DISK_FULL", None]
    assert {reason for reason in sink.told if reason} == {"DISK_FULL"}
    stored = (await store.turns(SESSION, 1000, None)).items
    assert [item.turn.id for item in stored] == [turn(number).id for number in range(TURNS)]
    assert [item.turn.revision for item in stored] == [0] * TURNS
    assert seen == [(Seq(2 + number), turn(number).id) for number in range(TURNS)]
    await store.close()


async def test_a_session_deleted_on_a_full_disk_is_erased_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "minuted.db"
    store = await open_store(f"sqlite:///{path}")
    await store.write([session(state=SessionState.STOPPED)])
    await store.write([turn(number, text="SECRET " * 100) for number in range(200)])
    ballast = await asyncio.to_thread(fill_up, small_disk, 50_000)
    deletion = await store.delete_session(SESSION)
    with pytest.raises(StoreError) as full:
        await store.erase()
    assert full.value.reason == "DISK_FULL"
    assert list(await store.changes(Seq(0), deletion.seq, None, 1000)) == [deletion]
    await asyncio.to_thread(ballast.unlink)
    await store.erase()
    assert remains(path, "SECRET") == []
    await store.close()
