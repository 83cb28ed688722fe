"""How minuted opens a SQLite file: one engine to write with, one that can only read. Each holds one connection.

Statements carry transcript text, so no engine may put a statement's values into an error (`hide_parameters`).
"""

import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from minuted_daemon.adapters.storage.limits import DATABASE_LIMITS

CACHE_KB = 512
"""Pages that a connection keeps for itself; the system keeps them anyway, for all of them."""


def write_engine(path: Path, foreign_keys: bool = True, busy_ms: int = DATABASE_LIMITS.busy_ms) -> Engine:
    """Return an engine whose transactions hold the write lock from their first statement on.

    A commit is on the disk when it returns, and what is deleted is overwritten there, though not in every place
    (changes/scrub.py). `foreign_keys` is off for migrations alone, which rebuild tables.
    """
    pragmas = (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"foreign_keys = {int(foreign_keys)}",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "journal_size_limit = 67108864",
    )
    return _engine(path, "mode=rw", "BEGIN IMMEDIATE", pragmas, busy_ms)


def read_engine(path: Path, still: bool = False, busy_ms: int = DATABASE_LIMITS.busy_ms) -> Engine:
    """Return an engine that cannot write; each of its transactions sees one state of the database.

    `still`: no program changes the file, and it has no log; then no other file is looked at or made beside it.
    """
    return _engine(path, "mode=ro&immutable=1" if still else "mode=ro", "BEGIN", (), busy_ms)


def _engine(path: Path, how: str, begin: str, pragmas: tuple[str, ...], busy_ms: int) -> Engine:
    uri = f"{path.absolute().as_uri()}?{how}"

    def connect() -> sqlite3.Connection:
        # Without an isolation level, sqlite3 begins nothing by itself: tables change within transactions, too.
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in (f"cache_size = -{CACHE_KB}", *pragmas):
                connection.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=connect,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "begin", on_begin)
    return engine
