"""What SQLite's error codes, and those of the file system, mean to minuted. The only file here that reads them."""

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from minuted_daemon.adapters.disk import DISK_FAILED, DISK_FULL, DISK_READ_ONLY, reason_of
from minuted_daemon.errors import StoreError

FAULTS = (SQLAlchemyError, sqlite3.Error, OSError, UnicodeEncodeError, UnicodeDecodeError, OverflowError)
"""What a statement can raise: besides the database's errors, values that Python cannot hand over to SQLite, and what
SQLite says of a damaged schema, with the rubbish in it."""

_SENTENCES = {
    DISK_FULL: "there is no space left for the database {path}: free some; nothing was written",
    DISK_READ_ONLY: "the file system of the database {path} has become read-only: look into the kernel's log",
    DISK_FAILED: "the disk under the database {path} fails ({code}): look into the kernel's log",
    "DATABASE_LOCKED": "another program holds the database {path} locked: end that program",
    "DATABASE_CORRUPT": "the database {path} is damaged ({code}): stop minuted and restore a backup, or save what can "
    "still be read with sqlite3's .recover",
    "STORE_FAILED": "the database {path} cannot be read or written ({code})",
}
_REASONS = {
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_IOERR: DISK_FAILED,
    sqlite3.SQLITE_BUSY: "DATABASE_LOCKED",
    sqlite3.SQLITE_LOCKED: "DATABASE_LOCKED",
    sqlite3.SQLITE_CORRUPT: "DATABASE_CORRUPT",
    sqlite3.SQLITE_NOTADB: "DATABASE_CORRUPT",
}
# SQLite says these also of a disk without space, on which it cannot make its log or its shared memory, and of one that
# may not be written.
_VAGUE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def as_store_error(fault: Exception, path: Path) -> StoreError:
    """Return the StoreError for one of FAULTS. Chain it: its text names no value that was to be stored."""
    if isinstance(fault, OSError):
        return _error(reason_of(fault) or "STORE_FAILED", path, errno.errorcode.get(fault.errno or 0, "OSError"))
    if isinstance(fault, UnicodeDecodeError):
        return _error("DATABASE_CORRUPT", path, "SQLITE_CORRUPT")
    original = fault.orig if isinstance(fault, DBAPIError) else fault
    name = getattr(original, "sqlite_errorname", None) or type(original).__name__
    # An extended code holds its primary code in its lowest byte.
    primary = getattr(original, "sqlite_errorcode", 0) & 0xFF
    reason = _REASONS.get(primary, "STORE_FAILED")
    if primary in _VAGUE:
        reason = _what_the_disk_says(path) or reason
    return _error(reason, path, name)


def _error(reason: str, path: Path, code: str) -> StoreError:
    return StoreError(reason, _SENTENCES[reason].format(path=path, code=code), path=str(path), code=code)


def _what_the_disk_says(path: Path) -> str | None:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return None
    if room.f_flag & os.ST_RDONLY:
        return DISK_READ_ONLY
    return DISK_FULL if room.f_bavail == 0 else None
