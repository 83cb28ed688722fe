"""Overwrites leftovers of deleted text in the database file.

SQLite zeroes what it deletes (PRAGMA secure_delete). But when rows move from page to page as tables grow and shrink,
the bytes they leave stay in the unused middle of the old page, and outlive the row. VACUUM would rewrite the whole
database, with the writer waiting, and needs its size in free space; what is done here needs neither.

Only bytes that belong to nothing are overwritten, in pages that no program can be writing: the lock is held, the log is
empty. So a write that is cut short does no harm. Source: "Database File Format" in SQLite's documentation.
"""

import contextlib
import os
import sqlite3
from io import FileIO
from pathlib import Path

from sqlalchemy import Engine

from minuted_daemon.adapters.storage.limits import ErasureLimits
from minuted_daemon.errors import StoreError

DELAYED = "ERASURE_DELAYED"

_HEADER = 100
_INTERIOR, _LEAF = (2, 5), (10, 13)
_MOST_PAGES = 1 << 25  # up to it the pages of other kinds begin with 0 or 1


def scrub(file: FileIO, path: Path, engine: Engine, first: int, limits: ErasureLimits) -> int | None:
    """Put the log into the file, and overwrite leftovers in a portion of its pages; return the page to go on with.

    `engine` is the one that writes; its connection is made again, because it caches pages as they were. `file` must
    stay open for as long as there are connections: closing it would release their locks.
    Raises StoreError (ERASURE_DELAYED while another connection reads an older state, STORE_FAILED), and FAULTS.
    """
    engine.dispose()
    uri = f"{path.absolute().as_uri()}?mode=rw"
    opened = sqlite3.connect(uri, uri=True, timeout=limits.readers_ms / 1000, isolation_level=None)
    with contextlib.closing(opened) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise _delayed(path)
        connection.execute("BEGIN IMMEDIATE")
        try:
            log = Path(f"{path}-wal")
            if log.exists() and log.stat().st_size:
                raise _delayed(path)
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            _check_layout(file, path, pages)
            next_page = min(first + limits.pages, pages + 1)
            _overwrite(file, page_bytes, range(first, next_page))
        finally:
            connection.execute("ROLLBACK")
    return next_page if next_page <= pages else None


def _check_layout(file: FileIO, path: Path, pages: int) -> None:
    """Make sure that a page's first byte tells its kind."""
    header = os.pread(file.fileno(), _HEADER, 0)
    keeps_page_map = any(header[52:56])
    if keeps_page_map or pages >= _MOST_PAGES:
        text = f"leftovers of deleted text in {path} cannot be overwritten: run sqlite3 on it with the command VACUUM"
        raise StoreError("STORE_FAILED", text, path=str(path))


def _overwrite(file: FileIO, page_bytes: int, pages: range) -> None:
    descriptor, written = file.fileno(), False
    for number in pages:
        place = (number - 1) * page_bytes
        page = os.pread(descriptor, page_bytes, place)
        start, end = _unused(page, _HEADER if number == 1 else 0)
        if page[start:end].strip(b"\0"):
            os.pwrite(descriptor, bytes(end - start), place + start)
            written = True
    if written:
        os.fsync(descriptor)


def _unused(page: bytes, header: int) -> tuple[int, int]:
    """Return the stretch between a page's list of cells and its cells; an empty one for pages without cells."""
    kind = page[header]
    if kind not in _INTERIOR + _LEAF:
        return 0, 0
    cells = int.from_bytes(page[header + 3 : header + 5], "big")
    start = header + (12 if kind in _INTERIOR else 8) + 2 * cells
    return start, int.from_bytes(page[header + 5 : header + 7], "big") or 65_536


def _delayed(path: Path) -> StoreError:
    text = f"deleted text is still in {path}: another program has been reading it for long, such as a backup"
    return StoreError(DELAYED, text, path=str(path))
