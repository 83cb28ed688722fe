"""What has to be true of a database before the daemon uses it. Everything here runs once, at start, in a thread."""

import contextlib
import errno
import os
import uuid
from pathlib import Path

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from minuted_daemon.adapters.disk import sync_directory
from minuted_daemon.adapters.storage.database.integrity import corrupt, examine, unusable
from minuted_daemon.adapters.storage.database.migrate import migrate
from minuted_daemon.adapters.storage.database.sqlite_engines import write_engine
from minuted_daemon.adapters.storage.database.state_files import StateFiles, read_state_files
from minuted_daemon.adapters.storage.faults import FAULTS, as_store_error
from minuted_daemon.adapters.storage.limits import DATABASE_LIMITS, DatabaseLimits
from minuted_daemon.errors import ConfigError, StoreError


def database_path(url: str) -> Path:
    """Return the file that a `sqlite:///FILE` url names.

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


def prepare(path: Path, state_dir: Path | None = None, limits: DatabaseLimits = DATABASE_LIMITS) -> str:
    """Create the database or bring it up to date, make sure it can be used, and return its store_id.

    What an older version kept in files in the `state_dir` is taken into it.

    An existing file is never created again, not even an empty one, which is what is left of a damaged one. One
    that is not ours, or damaged, is left as it was.
    Raises ConfigError (DATABASE_UNUSABLE, DATABASE_CORRUPT, DATABASE_TOO_NEW), and StoreError where the trouble may
    pass by itself (DISK_FULL, DISK_FAILED, DATABASE_LOCKED).
    """
    try:
        if not path.exists():
            _create(path, limits)
        examine(path, limits)
        _keep_to_ourselves(path)
        files = StateFiles({}, (), ()) if state_dir is None else read_state_files(state_dir)
        store_id = _bring_up(path, files, limits)
        files.remove()
        return store_id
    except FAULTS as error:
        raise _refusal(as_store_error(error, path), path) from error


def _create(path: Path, limits: DatabaseLimits) -> None:
    """Make the database under another name first, so that a crash leaves no incomplete one."""
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
    _bring_up(fresh, StateFiles({}, (), ()), limits)
    fresh.rename(path)
    sync_directory(path.parent)


def _bring_up(path: Path, files: StateFiles, limits: DatabaseLimits) -> str:
    # Foreign keys are off, because a migration may rebuild a table that others refer to.
    engine = write_engine(path, foreign_keys=False, busy_ms=limits.busy_ms)
    try:
        return _brought_up(engine, path, files)
    finally:
        engine.dispose()


def _brought_up(engine: Engine, path: Path, files: StateFiles) -> str:
    with engine.begin() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        if mode != "wal":
            why = "its file system cannot share memory between programs, as network file systems can't"
            raise unusable(path, why, "name a file on a disk of this machine in [storage] url")
        migrate(connection, path)
        files.take_in(connection)
        store_id = str(uuid.uuid4())
        connection.exec_driver_sql("INSERT OR IGNORE INTO store VALUES (1, ?, 0)", (store_id,))
        # A backup has none: see backup.py.
        connection.exec_driver_sql("UPDATE store SET store_id = ? WHERE store_id = ''", (store_id,))
        return str(connection.exec_driver_sql("SELECT store_id FROM store").scalar_one())


def _keep_to_ourselves(path: Path) -> None:
    """Make the database readable for its owner only. SQLite gives its -wal and -shm files the same mode."""
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        # A file of another owner that we may write is the administrator's choice.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            name.chmod(0o600)


def _refusal(error: StoreError, path: Path) -> ConfigError | StoreError:
    if error.reason == "DATABASE_CORRUPT":
        return corrupt(path)
    if error.reason in ("STORE_FAILED", "DISK_READ_ONLY"):
        number = getattr(errno, error.facts["code"], None)
        return unusable(path, os.strerror(number) if number else error.facts["code"])
    return error
