import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from minuted_daemon.adapters.storage.database.sqlite_engines import write_engine
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.errors import StoreError
from tests.adapters.storage.attempts import write_together
from tests.adapters.storage.examples import SESSION, session, turn

LONG = "word " * 20_000


@pytest.mark.parametrize("lines", [1, 200, 1000])
async def test_everything_acknowledged_survives_kill_9(path: Path, pytestconfig: pytest.Config, lines: int) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.adapters.storage.victim",
        f"sqlite:///{path}",
        stdout=subprocess.PIPE,
        cwd=pytestconfig.rootpath,
    )
    assert victim.stdout is not None
    told = [await victim.stdout.readline() for _ in range(lines)]
    victim.kill()
    rest = await victim.stdout.read()
    await victim.wait()
    whole = b"".join(told) + rest[: rest.rfind(b"\n") + 1]
    acknowledged = dict(line.split() for line in whole.decode().splitlines())
    assert len(acknowledged) >= lines

    store = await open_store(f"sqlite:///{path}")
    page = await store.turns(SESSION, 1_000_000, None)
    stored: dict[str, int] = {item.turn.id: item.turn.seq for item in page.items}
    assert {turn_id: stored.get(turn_id) for turn_id in acknowledged} == {
        turn_id: int(seq) for turn_id, seq in acknowledged.items()
    }
    assert sorted(stored.values()) == list(range(2, 2 + len(stored)))
    assert await store.highest_seq() == len(stored) + 1
    await store.close()


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    path.touch()
    engine = write_engine(path)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


async def overflow(store: SqlStore) -> int:
    """Write until there is no room; give how many writes there was room for."""
    number = 0
    with pytest.raises(StoreError) as failure:  # noqa: PT012
        for number in range(1000):
            await store.write([turn(number, text=LONG)])
    assert failure.value.reason == "DISK_FULL"
    return number


async def test_a_full_database_is_told_and_room_lets_it_go_on(path: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def connected(connection: sqlite3.Connection, _: object) -> None:
        opened.append(connection)
        connection.execute("PRAGMA max_page_count = 300")

    event.listen(Pool, "connect", connected)
    try:
        store = await open_store(f"sqlite:///{path}")
    finally:
        event.remove(Pool, "connect", connected)
    await store.write([session()])
    stored = await overflow(store)
    # A small one that waits together with a big one still finds its place.
    big, small = await write_together(store, [[turn(2000, text=LONG)], [turn(2001)]])
    assert isinstance(big, StoreError)
    assert small == [stored + 2]
    for connection in opened[-2:]:
        connection.execute("PRAGMA max_page_count = 100000")
    assert [record.seq for record in await store.write([turn(2000, text=LONG)])] == [stored + 3]
    assert len((await store.turns(SESSION, 3000, None)).items) == stored + 2
    await store.close()


async def test_a_full_disk_is_told_and_room_lets_it_go_on(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'minuted.db'}"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = await open_store(url)
    await store.write([session()])
    stored = await overflow(store)
    assert (await store.session("boardroom")).id == SESSION
    ballast.unlink()
    assert [record.seq for record in await store.write([turn(999, text=LONG)])] == [stored + 2]
    await store.close()
    again = await open_store(url)
    assert len((await again.turns(SESSION, 3000, None)).items) == stored + 1
    await again.close()


async def test_a_start_on_a_full_disk_is_told(small_disk: Path) -> None:
    with contextlib.suppress(OSError):
        (small_disk / "ballast").write_bytes(bytes(4_000_000))
    with pytest.raises(StoreError) as failure:
        await open_store(f"sqlite:///{small_disk / 'minuted.db'}")
    assert failure.value.reason == "DISK_FULL"
