import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.database.backup import Backup, back_up
from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.errors import ConfigError, MinutedError, StoreError
from tests.adapters.storage.disks import fill_up
from tests.adapters.storage.examples import SESSION, session, speaker, turn


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "monday.db"


def refusal(database: Path, destination: Path) -> MinutedError:
    """Have a backup refused; make sure that it leaves nothing behind."""
    before = sorted(destination.parent.rglob("*")) if destination.parent.exists() else None
    with pytest.raises(MinutedError) as refused:
        back_up(database, destination)
    after = sorted(destination.parent.rglob("*")) if destination.parent.exists() else None
    assert after == before
    assert "\n" not in refused.value.message
    return refused.value


async def fill(store: SqlStore, turns: int = 100) -> None:
    await store.write([session(), speaker(1), *(turn(number, speaker(1)) for number in range(turns))])


async def test_a_backup_is_a_database_with_all_that_was_committed(
    store: SqlStore, path: Path, destination: Path
) -> None:
    await fill(store)
    made = await asyncio.to_thread(back_up, path, destination)
    file_bytes = os.stat(destination).st_size  # noqa: PTH116
    assert made == Backup(file_bytes, sessions=1, turns=100, highest_seq=102)
    assert stat.S_IMODE(os.stat(destination).st_mode) == 0o600  # noqa: PTH116
    assert os.listdir(destination.parent) == [destination.name]  # noqa: PTH208

    restored = await open_store(f"sqlite:///{destination}")
    assert (await restored.turns(SESSION, 1000, None)).items == (await store.turns(SESSION, 1000, None)).items
    assert [record.seq for record in await restored.write([turn(5000)])] == [103]
    await restored.close()
    assert [record.seq for record in await store.write([turn(6000)])] == [103]


async def test_each_restored_backup_is_another_store_for_as_long_as_it_lives(
    store: SqlStore, path: Path, destination: Path
) -> None:
    """Its seqs go on from where the backup was made, as those of the lost database did."""
    await fill(store)
    await asyncio.to_thread(back_up, path, destination)
    ids = [store.store_id]
    for name in ("restored.db", "restored-again.db"):
        shutil.copy(destination, path.with_name(name))
        for _ in range(2):
            restored = await open_store(f"sqlite:///{path.with_name(name)}")
            ids.append(restored.store_id)
            await restored.close()
    assert ids[1:] == [ids[1], ids[1], ids[3], ids[3]]
    assert len({*ids} - {""}) == 3


async def test_a_backup_takes_the_place_of_a_damaged_database(store: SqlStore, path: Path, destination: Path) -> None:
    await fill(store)
    await asyncio.to_thread(back_up, path, destination)
    await store.close()
    await asyncio.to_thread(path.write_bytes, b"\xa5" * 100_000)
    with pytest.raises(ConfigError):
        await open_store(f"sqlite:///{path}")
    shutil.move(destination, path)
    again = await open_store(f"sqlite:///{path}")
    assert len((await again.turns(SESSION, 1000, None)).items) == 100
    await again.close()


async def test_a_backup_needs_no_daemon_and_changes_nothing(store: SqlStore, path: Path, destination: Path) -> None:
    await fill(store)
    await store.close()
    before = await asyncio.to_thread(path.read_bytes)
    assert (await asyncio.to_thread(back_up, path, destination)).turns == 100
    assert await asyncio.to_thread(path.read_bytes) == before


async def test_what_a_killed_daemon_left_in_its_log_is_in_the_backup(
    store: SqlStore, path: Path, tmp_path: Path, destination: Path
) -> None:
    await fill(store)
    killed = tmp_path / "killed.db"
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{killed}{ending}")
    assert os.stat(f"{killed}-wal").st_size > 0  # noqa: PTH116
    assert (await asyncio.to_thread(back_up, killed, destination)).turns == 100


async def test_writing_goes_on_during_a_backup_and_the_copy_is_one_state(
    store: SqlStore, path: Path, destination: Path
) -> None:
    await store.write([session(), *(turn(number, text="word " * 400) for number in range(5_000))])
    done = asyncio.Event()
    waited: list[float] = []

    async def go_on_writing() -> None:
        number = 10_000
        while not done.is_set():
            begun = time.monotonic()
            await store.write([turn(number), turn(number + 1)])  # two and two, always
            waited.append(time.monotonic() - begun)
            number += 2

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(go_on_writing())
        made = await asyncio.to_thread(back_up, path, destination)
        done.set()
    assert len(waited) > 5
    assert max(waited) < 1.0
    assert made.turns == made.highest_seq - 1
    assert made.turns % 2 == 0
    assert made.turns >= 5_000


def test_nothing_is_overwritten(path: Path, destination: Path, fresh: Path) -> None:
    shutil.copy(fresh, path)
    destination.write_text("precious")
    assert refusal(path, destination).reason == "BACKUP_EXISTS"
    assert destination.read_text() == "precious"
    assert refusal(path, destination.parent).reason == "BACKUP_EXISTS"
    link = destination.with_name("link")
    link.symlink_to("nowhere")
    assert refusal(path, link).reason == "BACKUP_EXISTS"


def test_what_appears_meanwhile_is_not_overwritten_either(
    path: Path, destination: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(fresh, path)
    sync = os.fsync

    def appears(descriptor: int) -> None:
        destination.write_text("precious")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", appears)
    with pytest.raises(StoreError) as refused:
        back_up(path, destination)
    assert refused.value.reason == "BACKUP_EXISTS"
    assert destination.read_text() == "precious"
    assert os.listdir(destination.parent) == [destination.name]  # noqa: PTH208


def test_a_database_that_is_missing(path: Path, destination: Path) -> None:
    refused = refusal(path, destination)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_MISSING"
    assert not path.exists()


def test_a_folder_that_is_missing(path: Path, destination: Path, fresh: Path) -> None:
    shutil.copy(fresh, path)
    refused = refusal(path, destination.parent / "attic" / "monday.db")
    assert refused.reason == "BACKUP_FAILED"
    assert "No such file or directory" in refused.message


@pytest.mark.parametrize("rubbish", [b"Dear diary, " * 1000, b""])
def test_something_that_is_no_database(path: Path, destination: Path, rubbish: bytes) -> None:
    path.write_bytes(rubbish)
    assert refusal(path, destination).reason in ("DATABASE_CORRUPT", "STORE_FAILED")
    assert path.read_bytes() == rubbish


async def test_a_damaged_database_gives_no_backup(store: SqlStore, path: Path, destination: Path) -> None:
    await fill(store, 2_000)
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'turns'").fetchone()
    with open(path, "r+b") as file:  # noqa: ASYNC230, PTH123
        file.seek((page + 20) * 4096)
        file.write(b"\xa5" * 4096)
    assert (await asyncio.to_thread(refusal, path, destination)).reason == "DATABASE_CORRUPT"


async def test_a_disk_without_room_for_it(store: SqlStore, path: Path, small_disk: Path) -> None:
    await fill(store, 2_000)
    fill_up(small_disk, but=200_000)
    refused = await asyncio.to_thread(refusal, path, small_disk / "monday.db")
    assert refused.reason == "DISK_FULL"
    assert "backup" in refused.message
    assert len((await store.turns(SESSION, 5_000, None)).items) == 2_000
