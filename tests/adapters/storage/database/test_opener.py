import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minuted_daemon.adapters.storage.limits import DatabaseLimits
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.errors import ConfigError, MinutedError, StoreError
from tests.adapters.storage.examples import SESSION, session, speaker, turn


async def refusal(path: Path | str, limits: DatabaseLimits = DatabaseLimits()) -> MinutedError:  # noqa: B008 frozen
    url = path if isinstance(path, str) else f"sqlite:///{path}"
    with pytest.raises(MinutedError) as refused:
        await open_store(url, database=limits)
    assert "\n" not in refused.value.message
    if isinstance(path, Path):
        assert str(path) in refused.value.message
    return refused.value


async def filled(path: Path, turns: int = 300) -> None:
    store = await open_store(f"sqlite:///{path}")
    await store.write([session(), speaker(1), *(turn(number, speaker(1)) for number in range(turns))])
    await store.close()


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def content(path: Path) -> bytes:
    return path.read_bytes()


def overwrite_page(path: Path, of: str) -> None:
    """Put rubbish where a table or an index has its root."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (of,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "minuted.db",
        "postgresql://minuted:hunter2@db/minuted",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/x",
        "sqlite:///x?mode=memory",
        "sqlite:///what?.db",
        "sqlite:///file:x",
        "oracle-of-delphi://x",
    ],
)
async def test_only_a_file_of_sqlite_will_do(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = await refusal(url)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_UNSUPPORTED"
    assert "hunter2" not in refused.message
    assert names(tmp_path) == []


async def test_odd_names_of_files_work(tmp_path: Path) -> None:
    path = tmp_path / "50% of a #1 dätabase.db"
    await filled(path, 1)
    assert names(tmp_path) == [path.name]


async def test_a_newer_database_is_refused_and_left_alone(path: Path) -> None:
    await filled(path, 1)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = content(path)
    refused = await refusal(path)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_TOO_NEW"
    assert content(path) == before


async def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert (await refusal(path)).reason == "DATABASE_UNUSABLE"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("bookmarks",)]


@pytest.mark.parametrize("rubbish", [b"Dear diary, " * 1000, b"SQLite format 3\0" + b"\xa5" * 5000, b"x", b""])
async def test_something_else_is_no_database(path: Path, rubbish: bytes) -> None:
    await asyncio.to_thread(path.write_bytes, rubbish)
    refused = await refusal(path)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_CORRUPT"
    assert content(path) == rubbish


@pytest.mark.parametrize("thorough_mb", [16, 0])
async def test_a_database_cut_off_is_refused(path: Path, thorough_mb: int) -> None:
    await filled(path)
    os.truncate(path, len(content(path)) // 2)
    assert (await refusal(path, DatabaseLimits(thorough_mb=thorough_mb))).reason == "DATABASE_CORRUPT"


@pytest.mark.parametrize("of", ["turn_overlaps", "turns", "ix_turns_session_id_start_id", "wall_points"])
async def test_damage_anywhere_in_a_small_database_is_found_at_start(path: Path, of: str) -> None:
    await filled(path)
    overwrite_page(path, of)
    assert (await refusal(path)).reason == "DATABASE_CORRUPT"


async def test_damage_in_a_big_database_is_told_where_it_is_met(path: Path) -> None:
    limits = DatabaseLimits(thorough_mb=0)
    await filled(path)
    overwrite_page(path, "ix_turns_session_id_start_id")
    store = await open_store(f"sqlite:///{path}", database=limits)
    with pytest.raises(StoreError) as failure:
        await store.turns(SESSION, 10, None)
    assert failure.value.reason == "DATABASE_CORRUPT"
    assert (await store.session("boardroom")).id == SESSION
    await store.close()

    overwrite_page(path, "sqlite_autoindex_turns_2")
    assert (await refusal(path, limits)).reason == "DATABASE_CORRUPT"


async def test_a_log_without_its_database_is_not_thrown_away(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}")
    await store.write([session(), turn(1)])
    aside = path.with_name("aside.db")
    os.rename(path, aside)  # noqa: PTH104
    refused = await refusal(path)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_CORRUPT"
    os.rename(aside, path)  # noqa: PTH104
    again = await open_store(f"sqlite:///{path}")
    assert len((await again.turns(SESSION, 10, None)).items) == 1
    await again.close()
    await store.close()


async def test_a_start_cut_short_is_begun_anew(path: Path) -> None:
    """What a crash leaves while the first database is made is never taken for one."""
    for name, rubbish in ((".new", b""), (".new-wal", b"x" * 100)):
        path.with_name(path.name + name).write_bytes(rubbish)
    await filled(path, 1)
    assert names(path.parent) == [path.name]


async def test_a_refused_database_is_told_with_its_remedies(path: Path) -> None:
    await asyncio.to_thread(path.write_bytes, b"")
    refused = await refusal(path)
    assert ("backup" in refused.message, ".recover" in refused.message) == (True, True)
    assert names(path.parent) == [path.name]


async def test_a_folder_in_the_place_of_the_file(path: Path) -> None:
    os.mkdir(path)  # noqa: PTH102
    assert (await refusal(path)).reason == "DATABASE_UNUSABLE"


async def test_a_folder_that_is_missing(path: Path) -> None:
    refused = await refusal(path / "minuted.db")
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_UNUSABLE"


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[None]:
    """Root may write everywhere, so be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o755)
        if folder.name.startswith("pytest-of-"):
            break
    os.seteuid(65534)
    yield
    os.seteuid(0)


async def test_a_file_that_may_not_be_written(path: Path, request: pytest.FixtureRequest) -> None:
    await filled(path, 1)
    os.chmod(path, 0o444)  # noqa: PTH101
    request.getfixturevalue("ordinary_user")
    refused = await refusal(path)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_UNUSABLE"


async def test_a_folder_that_may_not_be_written(path: Path, request: pytest.FixtureRequest) -> None:
    await filled(path, 1)
    os.chmod(path, 0o666)  # noqa: PTH101
    os.chmod(path.parent, 0o555)  # noqa: PTH101
    request.getfixturevalue("ordinary_user")
    refused = await refusal(path)
    assert isinstance(refused, ConfigError)
    assert refused.reason == "DATABASE_UNUSABLE"


async def test_a_lock_at_start_may_pass_and_is_no_mistake_of_the_configuration(path: Path) -> None:
    await filled(path, 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as rival:
        rival.execute("BEGIN IMMEDIATE")
        refused = await refusal(path, DatabaseLimits(busy_ms=50))
    assert isinstance(refused, StoreError)
    assert refused.reason == "DATABASE_LOCKED"
    await filled(path, 1)


async def test_nobody_else_may_read_the_files(path: Path) -> None:
    umask = os.umask(0)
    try:
        await filled(path, 1)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116
        os.chmod(path, 0o644)  # noqa: PTH101
        store = await open_store(f"sqlite:///{path}")
        await store.write([session()])
        modes = {name: stat.S_IMODE(os.stat(path.parent / name).st_mode) for name in names(path.parent)}  # noqa: PTH116
    finally:
        os.umask(umask)
    assert modes == dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm"), 0o600)
    await store.close()


def test_alembic_is_not_loaded_where_there_is_nothing_to_do(path: Path) -> None:
    asyncio.run(filled(path, 1))
    script = (
        "import asyncio, sys\n"
        "from minuted_daemon.adapters.storage.store import open_store\n"
        "async def main(): await (await open_store(sys.argv[1])).close()\n"
        "asyncio.run(main())\n"
        "sys.exit('alembic' in sys.modules or 'sqlalchemy.orm' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, f"sqlite:///{path}"], check=True, timeout=15)
