import asyncio
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from minuted_daemon.adapters.storage import store as storing
from minuted_daemon.adapters.storage.limits import DatabaseLimits
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.adapters.storage.worker_thread import Worker
from minuted_daemon.errors import StoreError
from tests.adapters.storage.attempts import write_together
from tests.adapters.storage.examples import SESSION, session, speaker, turn


@pytest.fixture
def commits() -> Iterator[list[object]]:
    counted: list[object] = []

    def count(connection: object) -> None:
        counted.append(connection)

    event.listen(Engine, "commit", count)
    yield counted
    event.remove(Engine, "commit", count)


async def test_calls_at_once_get_seqs_in_call_order_and_few_commits(store: SqlStore, commits: list[object]) -> None:
    await store.write([session()])
    commits.clear()
    outcomes = await write_together(store, [[turn(number), turn(number + 5000)] for number in range(2000)])
    assert outcomes == [[2 + 2 * number, 3 + 2 * number] for number in range(2000)]
    assert len(commits) <= 40
    assert len((await store.turns(SESSION, 5000, None)).items) == 4000


async def test_one_failing_write_costs_the_others_nothing(store: SqlStore) -> None:
    await store.write([session()])
    bad = {3, 57, 58, 199}
    outcomes = await write_together(
        store, [[turn(number, speaker(1) if number in bad else None)] for number in range(200)]
    )
    assert {place for place, outcome in enumerate(outcomes) if isinstance(outcome, StoreError)} == bad
    assert [outcome for outcome in outcomes if not isinstance(outcome, StoreError)] == [[seq] for seq in range(2, 198)]
    assert await store.highest_seq() == 197


async def test_a_bug_in_one_write_costs_the_others_nothing(store: SqlStore) -> None:
    await store.write([session()])
    async with asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(store.write([turn(number)])) for number in range(3)]
        with pytest.raises(AttributeError):
            await store.write([turn(3, life="final")])
        good.append(tasks.create_task(store.write([turn(4)])))
    assert [task.result()[0].seq for task in good] == [2, 3, 4, 5]


async def test_a_cancelled_write_is_still_written_and_shifts_nobody(store: SqlStore) -> None:
    await store.write([session()])
    async with asyncio.TaskGroup() as tasks:
        writes = [tasks.create_task(store.write([turn(number)])) for number in range(10)]
        await asyncio.sleep(0)
        writes[4].cancel()
    assert [task.result()[0].seq for task in writes if not task.cancelled()] == [2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert len((await store.turns(SESSION, 100, None)).items) == 10


async def test_a_long_read_holds_up_no_write(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    started, done = threading.Event(), threading.Event()

    def long_read(connection: object) -> int:
        connection.exec_driver_sql("SELECT * FROM sessions").all()  # type: ignore[attr-defined]
        started.set()
        done.wait(10)
        return len(connection.exec_driver_sql("SELECT * FROM sessions").all())  # type: ignore[attr-defined]

    monkeypatch.setattr(storing, "read_highest_seq", long_read)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(store.highest_seq())
        await asyncio.to_thread(started.wait, 10)
        await store.write([session()])
        assert not reading.done()
        done.set()
    assert reading.result() == 0  # the state of the database it began with
    assert (await store.session(SESSION)).seq == 1


async def test_another_programs_lock_is_told_holds_up_no_read_and_passes(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}", database=DatabaseLimits(busy_ms=50))
    await store.write([session()])
    rival = sqlite3.connect(path, isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as tasks:
            outcome = tasks.create_task(write_together(store, [[turn(number)] for number in range(300)]))
            assert (await store.session("boardroom")).id == SESSION
            assert not outcome.done()
    assert {error.reason for error in outcome.result() if isinstance(error, StoreError)} == {"DATABASE_LOCKED"}
    rival.execute("ROLLBACK")
    rival.close()
    assert [record.seq for record in await store.write([turn(1)])] == [2]
    await store.close()


async def test_closing_finishes_what_was_asked_for_and_refuses_the_rest(store: SqlStore, path: Path) -> None:
    await store.write([session()])
    async with asyncio.TaskGroup() as tasks:
        writes = [tasks.create_task(store.write([turn(number)])) for number in range(500)]
        await asyncio.sleep(0)
        await store.close()
    assert len({write.result()[0].seq for write in writes}) == 500
    for refused in (store.write([turn(1)]), store.highest_seq()):
        with pytest.raises(StoreError):
            await refused
    await store.close()
    assert os.listdir(path.parent) == [path.name]  # noqa: PTH208


async def test_a_worker_that_hangs_is_given_up_at_the_limit() -> None:
    hang = threading.Event()
    finished: list[bool] = []

    class Hanging:
        def handle(self, requests: Sequence[int]) -> Sequence[int]:
            hang.wait(10)
            return requests

        def finish(self) -> None:
            finished.append(True)

    worker = Worker[int, int]("hanging", Hanging())

    async def call() -> None:
        with pytest.raises(StoreError, match="closed"):
            await worker.call(1)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(call())
        await asyncio.sleep(0)
        await worker.close(0.05)
    assert finished == []
    hang.set()
    await worker.close(5)
    assert finished == [True]
