"""Whether a database can be used, found by reading alone: a refused one is left as it was, to the byte.

A connection that may write would change a file by merely opening it: it switches the journal's mode, and puts the log
into the file when it closes. Nothing in here may write or change a mode; a -shm may come beside a log.
"""

from pathlib import Path

from sqlalchemy import Connection

from minuted_daemon.adapters.storage.database.migrate import known_revision
from minuted_daemon.adapters.storage.database.sqlite_engines import read_engine
from minuted_daemon.adapters.storage.limits import DatabaseLimits
from minuted_daemon.errors import ConfigError

_HEADER = b"SQLite format 3\0"
_WRITABLE = "the daemon's user must be able to write the file and its folder"


def examine(path: Path, limits: DatabaseLimits) -> None:
    """Refuse a database that is none, is damaged, or is not of this minuted.

    Raises ConfigError (DATABASE_UNUSABLE, DATABASE_CORRUPT, DATABASE_TOO_NEW), and FAULTS.
    """
    if not path.is_file():
        raise unusable(path, "it is no regular file", "move it away, or name another file in [storage] url")
    with path.open("r+b", buffering=0) as file:
        header = file.read(len(_HEADER))
    # SQLite would take a file of a few bytes for an empty one, and write over it.
    if header != _HEADER:
        raise corrupt(path)
    log = Path(f"{path}-wal")
    # Without a log the file is all there is, and can be read without one being made beside it.
    engine = read_engine(path, still=not (log.exists() and log.stat().st_size), busy_ms=limits.busy_ms)
    try:
        with engine.begin() as connection:
            known_revision(connection, path)
            _check(connection, path, limits.thorough_mb)
    finally:
        engine.dispose()


def _check(connection: Connection, path: Path, thorough_mb: int) -> None:
    """Look for damage, for as long as a start may take: what is missed here is reported when it is read.

    SQLite itself refuses a file that is cut off or has no header. A whole look at a big file would take minutes.
    """
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    page_bytes = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    if pages * page_bytes <= thorough_mb * 1_000_000:
        if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
            raise corrupt(path)
        return
    for table in connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars().all():
        if table in ("sessions", "speakers", "turns", "intervals"):
            connection.exec_driver_sql(f'SELECT * FROM "{table}" ORDER BY seq DESC LIMIT 20').all()  # noqa: S608


def corrupt(path: Path) -> ConfigError:
    """Return the refusal of a database that is damaged, or is none."""
    return ConfigError(
        "DATABASE_CORRUPT",
        f"the database {path} is damaged or not a database: restore a backup, or save what can still be read with "
        f"sqlite3's .recover, or move it away to start anew; it was left as it is",
        path=str(path),
    )


def unusable(path: Path, why: str, remedy: str = _WRITABLE) -> ConfigError:
    """Return the refusal of a database that cannot be read or written at its place."""
    return ConfigError("DATABASE_UNUSABLE", f"the database {path} cannot be used ({why}): {remedy}", path=str(path))
