"""A database that is refused is left as it was: its bytes, its log, its mode."""

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.store import SqlStore, open_store
from minuted_daemon.errors import ConfigError
from tests.adapters.storage.examples import SESSION, session, speaker, turn

PAGE_BYTES = 4096


def as_left(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return all files with their modes, but for a shared memory: it may come and go."""
    files = [file for file in folder.iterdir() if not file.name.endswith("-shm")]
    return {file.name: (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) for file in files}


async def refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        await open_store(f"sqlite:///{path}")
    assert str(path) in refused.value.message
    return refused.value


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    content = path.read_bytes()
    path.write_bytes(how(content))
    assert path.read_bytes() != content


def copied(path: Path, folder: Path) -> Path:
    """Return a copy of a database in use, with its log: what there is of it after the daemon was killed."""
    folder.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{folder / path.name}{ending}")
    return folder / path.name


def another_programs(path: Path, journal: str) -> None:
    """Leave the database of some program that was killed in mid-work."""
    work = path.with_name("work.db")
    with contextlib.closing(sqlite3.connect(work)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('Ada')")
        connection.commit()
        for ending in ("", "-wal"):
            if Path(f"{work}{ending}").exists():
                shutil.copy(f"{work}{ending}", f"{path}{ending}")
    work.unlink()
    path.chmod(0o664)


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_another_programs_database(path: Path, journal: str) -> None:
    another_programs(path, journal)
    before = as_left(path.parent)
    assert len(before) == (2 if journal == "WAL" else 1)
    assert (await refusal(path)).reason == "DATABASE_UNUSABLE"
    assert as_left(path.parent) == before


async def test_a_database_that_is_refused_gets_no_files_beside_it(path: Path) -> None:
    another_programs(path, "DELETE")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    await refusal(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.fixture
async def killed(store: SqlStore, path: Path, tmp_path: Path) -> Path:
    """What a killed daemon leaves: some of the minutes in the file, the newest in its log."""
    await store.write([session(), speaker(1), *(turn(number, speaker(1)) for number in range(300))])
    await store.erase()  # which puts the log into the file
    await store.write([turn(number, speaker(1)) for number in range(300, 400)])
    return copied(path, tmp_path / "killed")


async def test_what_a_killed_daemon_left_is_taken_up(killed: Path) -> None:
    store = await open_store(f"sqlite:///{killed}")
    assert len((await store.turns(SESSION, 1000, None)).items) == 400
    await store.close()


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def overwritten(content: bytes) -> bytes:
    return content[:100] + b"\xa5" * (len(content) - 100)


def one_page_overwritten(content: bytes) -> bytes:
    """One of the middle: a newer state of the last ones may stand in the log."""
    at = len(content) // PAGE_BYTES // 2 * PAGE_BYTES
    return content[:at] + b"\xa5" * PAGE_BYTES + content[at + PAGE_BYTES :]


@pytest.mark.parametrize("harm", [cut_off, overwritten, one_page_overwritten])
async def test_a_damaged_database_with_its_log(killed: Path, harm: Callable[[bytes], bytes]) -> None:
    change(killed, harm)
    before = as_left(killed.parent)
    assert (await refusal(killed)).reason == "DATABASE_CORRUPT"
    assert as_left(killed.parent) == before


async def test_a_newer_database_with_its_log(store: SqlStore, path: Path, tmp_path: Path) -> None:
    await store.write([session()])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    newer = copied(path, tmp_path / "newer")
    before = as_left(newer.parent)
    assert (await refusal(newer)).reason == "DATABASE_TOO_NEW"
    assert as_left(newer.parent) == before


async def test_a_database_without_its_version(path: Path, fresh: Path) -> None:
    shutil.copy(fresh, path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    before = as_left(path.parent)
    refused = await refusal(path)
    assert refused.reason == "DATABASE_UNUSABLE"
    assert "version" in refused.message
    assert "restore a backup" in refused.message
    assert as_left(path.parent) == before


async def test_another_program_may_have_versions_too(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
    refused = await refusal(path)
    assert (refused.reason, "another program" in refused.message) == ("DATABASE_UNUSABLE", True)


async def test_what_sqlite_says_of_a_damaged_schema_need_be_no_text(path: Path, fresh: Path) -> None:
    shutil.copy(fresh, path)
    change(path, lambda content: content.replace(b"CREATE TABLE sessions (", b"CREATE \xbd\x9e\x8cLE sessions ("))
    before = as_left(path.parent)
    assert (await refusal(path)).reason == "DATABASE_CORRUPT"
    assert as_left(path.parent) == before


async def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    refused = await refusal(path)
    assert refused.reason == "DATABASE_UNUSABLE"
    assert "no regular file" in refused.message
