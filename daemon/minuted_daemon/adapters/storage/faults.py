"""What SQLite's error codes mean to minuted. The only file here that reads them."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from minuted_daemon.errors import StoreError

FAULTS = (SQLAlchemyError, sqlite3.Error, UnicodeEncodeError, OverflowError)
"""What a statement can raise: besides the database's errors, values that Python cannot hand over to SQLite."""

_SENTENCES = {
    "DISK_FULL": "there is no space left for the database {path}: free some; nothing was written",
    "DATABASE_LOCKED": "another program holds the database {path} locked: end that program",
    "DATABASE_CORRUPT": "the database {path} is damaged or not a database: restore it from a backup",
    "STORE_FAILED": "the database {path} cannot be read or written ({code})",
}
_REASONS = {
    sqlite3.SQLITE_FULL: "DISK_FULL",
    sqlite3.SQLITE_BUSY: "DATABASE_LOCKED",
    sqlite3.SQLITE_LOCKED: "DATABASE_LOCKED",
    sqlite3.SQLITE_CORRUPT: "DATABASE_CORRUPT",
    sqlite3.SQLITE_NOTADB: "DATABASE_CORRUPT",
}


def as_store_error(fault: Exception, path: Path) -> StoreError:
    """Give the StoreError for one of FAULTS. Chain it: its text names no value that was to be stored."""
    original = fault.orig if isinstance(fault, DBAPIError) else fault
    code = getattr(original, "sqlite_errorcode", None)
    # An extended code holds its primary code in its lowest byte.
    primary = code & 0xFF if code is not None else None
    reason = _REASONS.get(primary, "STORE_FAILED") if primary is not None else "STORE_FAILED"
    # On a full disk SQLite cannot make its shared-memory file any longer, and calls that an I/O error.
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path):
        reason = "DISK_FULL"
    name = getattr(original, "sqlite_errorname", None) or type(original).__name__
    return StoreError(reason, _SENTENCES[reason].format(path=path, code=name), path=str(path), code=name)


def _is_full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail == 0
