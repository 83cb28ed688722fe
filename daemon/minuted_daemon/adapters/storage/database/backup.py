"""Copies the database into one file, also while the daemon writes to it. Runs in a process of its own.

The copy is one state of the minutes: everything that was committed before it began. It is made by reading alone, so
that no write waits for it.
"""

import contextlib
import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minuted_daemon.adapters.disk import DISK_FULL
from minuted_daemon.adapters.storage.faults import FAULTS, as_store_error
from minuted_daemon.adapters.storage.limits import DATABASE_LIMITS
from minuted_daemon.errors import ConfigError, StoreError


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and checked: all changes up to `highest_seq`."""

    file_bytes: int
    sessions: int
    turns: int
    highest_seq: int


def back_up(database: Path, destination: Path) -> Backup:
    """Make a checked copy of the database at `destination`, which appears whole or not at all, for its owner alone.

    Put in the place of a database, the copy is one, and another store: a seq that it gives out has been given out
    before, for something else. Leftovers of what was deleted are not copied.
    Raises ConfigError (DATABASE_MISSING), and StoreError (BACKUP_EXISTS, BACKUP_FAILED, and those of the database).
    """
    if not database.is_file():
        text = f"there is no database {database}: nothing to back up"
        raise ConfigError("DATABASE_MISSING", text, path=str(database))
    if os.path.lexists(destination):
        raise _exists(destination)
    with _unfinished(destination) as copy:
        _copy(database, copy, destination)
        try:
            _take_id(copy)
            made = _check(copy)
            _keep(copy, destination)
        except FAULTS as fault:
            raise _failed(destination, fault) from fault
    return made


@contextlib.contextmanager
def _unfinished(destination: Path) -> Iterator[Path]:
    """Return an empty file beside the destination; it is gone in the end."""
    copy = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.tmp")
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as fault:
        raise _failed(destination, fault) from fault
    try:
        yield copy
    finally:
        for leftover in (copy, Path(f"{copy}-journal"), Path(f"{copy}-wal"), Path(f"{copy}-shm")):
            leftover.unlink(missing_ok=True)


def _copy(database: Path, copy: Path, destination: Path) -> None:
    try:
        with _connected(database, "mode=ro") as connection:
            connection.execute("SELECT highest_seq FROM store").fetchall()
            try:
                connection.execute("VACUUM INTO ?", (str(copy),))
            except FAULTS as fault:
                # The code alone does not tell which of the two files it is about; but only the copy was being written.
                if as_store_error(fault, database).reason in ("DATABASE_CORRUPT", "DATABASE_LOCKED"):
                    raise
                raise _failed(destination, fault) from fault
    except FAULTS as fault:
        raise as_store_error(fault, database) from fault


def _take_id(copy: Path) -> None:
    """Have each restored copy be given a store_id of its own when it is first opened, however many there will be."""
    with _connected(copy, "mode=rw") as connection:
        connection.execute("UPDATE store SET store_id = ''")


def _check(copy: Path) -> Backup:
    """Read all of the copy. Raises StoreError (DATABASE_CORRUPT)."""
    with _connected(copy, "mode=ro&immutable=1") as connection:
        whole = connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
        if not whole or connection.execute("PRAGMA foreign_key_check").fetchall():
            raise StoreError("DATABASE_CORRUPT", "the database is damaged, and so would be a backup of it")
        (sessions,) = connection.execute("SELECT count(*) FROM sessions").fetchone()
        (turns,) = connection.execute("SELECT count(*) FROM turns").fetchone()
        (highest_seq,) = connection.execute("SELECT highest_seq FROM store").fetchone()
    return Backup(copy.stat().st_size, sessions, turns, highest_seq)


def _keep(copy: Path, destination: Path) -> None:
    """Return the copy its name, once it is on the disk; whatever has the name by now keeps it."""
    _sync(copy)
    try:
        os.link(copy, destination)
    except FileExistsError:
        raise _exists(destination) from None
    except OSError as fault:
        # Some file systems know no second name for a file.
        if fault.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        copy.rename(destination)
    _sync(destination.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _connected(path: Path, how: str) -> Iterator[sqlite3.Connection]:
    uri = f"{path.absolute().as_uri()}?{how}"
    opened = sqlite3.connect(uri, uri=True, timeout=DATABASE_LIMITS.busy_ms / 1000, isolation_level=None)
    with contextlib.closing(opened) as connection:
        yield connection


def _failed(destination: Path, fault: Exception) -> StoreError:
    error = as_store_error(fault, destination)
    if error.reason == DISK_FULL:
        text = f"there is no space left for the backup {destination}: free some, or name another place"
        return StoreError(DISK_FULL, text, path=str(destination))
    code = error.facts["code"]
    number = getattr(errno, code, None)
    why = os.strerror(number) if number else code
    return StoreError("BACKUP_FAILED", f"the backup {destination} cannot be written ({why})", path=str(destination))


def _exists(destination: Path) -> StoreError:
    text = f"{destination} is there already and is not overwritten: name another file"
    return StoreError("BACKUP_EXISTS", text, path=str(destination))
