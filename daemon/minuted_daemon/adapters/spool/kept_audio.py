"""The kept files of all sessions, as the event loop sees them: written, erased from and removed, one at a time.

Operations on one session's kept file wait for each other: `exclusive`. They run in the reading thread, a step at a
time: a step whose caller has timed out still ends before the next one begins.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from minuted_daemon.adapters.disk import DISK_FULL
from minuted_daemon.adapters.spool.disk_thread import DiskThread
from minuted_daemon.adapters.spool.faults import as_store_error
from minuted_daemon.adapters.spool.files.kept_file import SUFFIX, erasing, kept_path, remove
from minuted_daemon.adapters.spool.files.segment import Sync
from minuted_daemon.adapters.spool.session_spool import DISK_LIMIT_S
from minuted_daemon.core.records import SessionId
from minuted_daemon.core.samples import Sample

_log = structlog.get_logger()


class KeptAudio:
    """One for the daemon."""

    def __init__(self, directory: Path, reading: DiskThread, sync: Sync) -> None:
        self._directory = directory
        self._reading = reading
        self._sync = sync
        # A lock exists as long as a caller holds it or waits for it.
        self._locks: WeakValueDictionary[SessionId, asyncio.Lock] = WeakValueDictionary()
        self._shedding: asyncio.Future[int] | None = None

    @asynccontextmanager
    async def exclusive(self, session_id: SessionId) -> AsyncIterator[None]:
        """Hold the session's kept file; other operations on it wait."""
        lock = self._locks.get(session_id)
        if lock is None:
            lock = self._locks[session_id] = asyncio.Lock()
        async with lock:
            yield

    @property
    def in_use(self) -> int:
        """How many sessions' files are held or waited for."""
        return len(self._locks)

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        """Have no sample of [start, end) left in the session's kept file, if there is one.

        Raises StoreError; then ask again. The file is written again, which needs space for it (DISK_FULL).
        """
        async with self.exclusive(session_id):
            steps = erasing(self._path(session_id), start - start % 2, end + end % 2, self._sync)
            try:
                while await self._reading.call(partial(_go_on, steps), DISK_LIMIT_S):
                    pass
            except OSError as error:
                raise as_store_error(error, str(self._directory)) from error
            finally:
                self._reading.submit(steps.close)

    async def remove(self, session_id: SessionId) -> None:
        """Have no kept file of the session. Raises StoreError."""
        async with self.exclusive(session_id):
            try:
                await self._reading.call(partial(remove, self._path(session_id)), DISK_LIMIT_S)
            except OSError as error:
                raise as_store_error(error, str(self._directory)) from error

    def make_room(self, wanted: int) -> "asyncio.Future[int]":
        """Remove files, oldest first, until so many bytes are gained. Never waits; the future's result is how many.

        While an earlier call is at it, nothing more is asked of the disk.
        """
        if self._shedding is None or self._shedding.done():
            self._shedding = self._reading.submit(partial(_remove_oldest, self._directory, wanted))
            self._shedding.add_done_callback(_room_made)
        return self._shedding

    def _path(self, session_id: SessionId) -> Path:
        return kept_path(self._directory, session_id)


def _go_on(steps: Iterator[None]) -> bool:
    """Do the next step; return whether there was one."""
    return next(steps, steps) is not steps


def _remove_oldest(directory: Path, wanted: int) -> int:
    """Return how many files were removed. A rewrite that is under way does not bring a removed file back."""
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in directory.glob(f"*{SUFFIX}"))
    removed = 0
    for _, size, path in files:
        if wanted <= 0:
            break
        path.unlink()
        wanted -= size
        removed += 1
    return removed


def _room_made(removal: "asyncio.Future[int]") -> None:
    if removal.exception() is None and removal.result():
        _log.warning("kept_audio_shed", reason=DISK_FULL, files=removal.result())
