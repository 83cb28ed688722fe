"""What has to be true of a database before the daemon uses it. Everything here runs once, at start, in a thread."""

import contextlib
import errno
import os
import uuid
from pathlib import Path

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from minuted_daemon.adapters.disk import sync_directory
from minuted_daemon.adapters.storage.engines import write_engine
from minuted_daemon.adapters.storage.faults import FAULTS, as_store_error
from minuted_daemon.adapters.storage.migrate import migrate
from minuted_daemon.errors import ConfigError, StoreError

THOROUGH_MB = 16
"""Up to this size all pages are checked at start (some 0.1 s); above, only what opening and the newest rows touch."""

_HEADER = b"SQLite format 3\0"


def database_path(url: str) -> Path:
    """Give the file that a `sqlite:///FILE` url names.

    Raises ConfigError (DATABASE_UNSUPPORTED).
    """
    # The url itself stays out of the sentence: one for a database server may hold a password.
    refused = "[storage] url must be sqlite:/// and the path of a file, such as sqlite:////var/lib/minuted/minuted.db"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("DATABASE_UNSUPPORTED", refused) from error
    name = parsed.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise ConfigError("DATABASE_UNSUPPORTED", refused)
    if parsed.get_backend_name() != "sqlite" or parsed.host or "?" in url:
        raise ConfigError("DATABASE_UNSUPPORTED", refused)
    return Path(name)


def prepare(path: Path) -> str:
    """Create the database or bring it up to date, make sure it can be used, and give its store_id.

    A file that is there is never made anew, not even an empty one: an empty one is what is left of a damaged one.
    Raises ConfigError (DATABASE_UNUSABLE, DATABASE_CORRUPT, DATABASE_TOO_NEW), and StoreError where the trouble may
    pass by itself (DISK_FULL, DISK_FAILED, DATABASE_LOCKED).
    """
    try:
        if not path.exists():
            _create(path)
        _look_at(path)
        return _bring_up(path)
    except FAULTS as error:
        raise _refusal(as_store_error(error, path), path) from error


def _create(path: Path) -> None:
    """Make the database under another name first, so that a crash leaves none behind that is not whole."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        # SQLite would throw it away.
        raise ConfigError(
            "DATABASE_CORRUPT",
            f"the database {path} is missing, and its newest changes are in {log}: put it back, or restore a backup "
            "and move that file away",
            path=str(path),
        )
    fresh = Path(f"{path}.new")
    for name in (fresh, Path(f"{fresh}-wal"), Path(f"{fresh}-shm")):
        name.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    _bring_up(fresh)
    fresh.rename(path)
    sync_directory(path.parent)


def _bring_up(path: Path) -> str:
    # Foreign keys are off, because a migration may rebuild a table that others refer to.
    engine = write_engine(path, foreign_keys=False)
    try:
        return _brought_up(engine, path)
    finally:
        engine.dispose()


def _brought_up(engine: Engine, path: Path) -> str:
    with engine.begin() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        if mode != "wal":
            raise _unusable(path, "its file system cannot share memory between programs, as network file systems can't")
        _check(connection, path)
        migrate(connection, path)
        connection.exec_driver_sql("INSERT OR IGNORE INTO store VALUES (1, ?, 0)", (str(uuid.uuid4()),))
        return str(connection.exec_driver_sql("SELECT store_id FROM store").scalar_one())


def _look_at(path: Path) -> None:
    """Refuse what is no database; have nobody else read it. SQLite gives its -wal and -shm files the same mode."""
    with path.open("r+b", buffering=0) as file:
        header = file.read(len(_HEADER))
    # SQLite would take a file of a few bytes for an empty one, and write over it.
    if header != _HEADER:
        raise _corrupt(path)
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        # A file that belongs to somebody else and that we may write is the administrator's choice.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            name.chmod(0o600)


def _check(connection: Connection, path: Path) -> None:
    """Look for damage, for as long as a start may take: what is missed here is met, and told, when it is read.

    SQLite itself refuses a file that is cut off or has no header. A whole look at a big file would take minutes.
    """
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    page_bytes = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    if pages * page_bytes <= THOROUGH_MB * 1_000_000:
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise _corrupt(path)
        return
    for table in connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars().all():
        if table in ("sessions", "speakers", "turns", "intervals"):
            connection.exec_driver_sql(f'SELECT * FROM "{table}" ORDER BY seq DESC LIMIT 20').all()  # noqa: S608


def _refusal(error: StoreError, path: Path) -> ConfigError | StoreError:
    if error.reason == "DATABASE_CORRUPT":
        return _corrupt(path)
    if error.reason in ("STORE_FAILED", "DISK_READ_ONLY"):
        number = getattr(errno, error.facts["code"], None)
        return _unusable(path, os.strerror(number) if number else error.facts["code"])
    return error


def _corrupt(path: Path) -> ConfigError:
    return ConfigError(
        "DATABASE_CORRUPT",
        f"the database {path} is damaged or not a database: restore a backup, or save what can still be read with "
        f"sqlite3's .recover, or move it away to start anew; it was left as it is",
        path=str(path),
    )


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        "DATABASE_UNUSABLE",
        f"the database {path} cannot be used ({why}): the daemon's user must be able to write the file and its folder",
        path=str(path),
    )
