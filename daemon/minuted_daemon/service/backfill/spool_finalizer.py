"""Ends the spools of sessions that have ended: their turns have their texts, and their audio is kept or removed.

How a spool ends belongs in ports.Spools, which texts a session lacks in runner.py; here is only when, and that it is
tried until it is done.
"""

import asyncio
from collections.abc import Callable, Collection

import structlog

from minuted_daemon.core.records import LIVE_STATES, SessionId, SessionRecord
from minuted_daemon.errors import NotFound, StoreError
from minuted_daemon.ports.spool import Spools
from minuted_daemon.ports.store import Store
from minuted_daemon.service.backfill.runner import Backfill
from minuted_daemon.service.retries.policy import RetryPolicy
from minuted_daemon.service.task_groups import cancel_and_wait

log = structlog.get_logger()


class SpoolFinalizer:
    """One for the daemon. What is not done when the daemon ends is done at its next start."""

    def __init__(
        self, group: asyncio.TaskGroup, spools: Spools, store: Store, backfill: Backfill, random: Callable[[], float]
    ) -> None:
        """`random` gives numbers in [0, 1)."""
        self._group = group
        self._backfill = backfill
        self._spools = spools
        self._store = store
        self._random = random
        self._tasks: dict[SessionId, asyncio.Task[None]] = {}

    def begin(self, session_id: SessionId) -> None:
        """All turns of this session are settled: get the texts it lacks, and finish its spool, in the background."""
        if session_id not in self._spools.spools:
            self._backfill.close(session_id)
        elif session_id not in self._tasks:
            task = self._tasks[session_id] = self._group.create_task(self._finish(session_id))
            task.add_done_callback(lambda _: self._tasks.pop(session_id, None))

    async def cancel_and_wait(self, session_id: SessionId) -> None:
        """Do no more for this session; wait until nothing is under way."""
        await cancel_and_wait(self._tasks.get(session_id))

    async def finalize_leftovers(self, live: Collection[SessionId]) -> None:
        """Finish the spools found at the start, but for those of sessions that go on. Raises StoreError.

        The audio of a session that is no longer stored is removed.
        """
        for session_id in [found for found in self._spools.spools if found not in live]:
            record = await self._record(session_id)
            if record is None:
                log.warning("orphaned_spool_found", session_id=session_id)
            elif record.state in LIVE_STATES:
                continue
            self._spools.open(session_id, record is not None and record.settings.keep_audio)
            self.begin(session_id)

    async def stop(self, limit_s: float) -> None:
        """Let what is under way end within `limit_s`, and leave the rest to the next start."""
        tasks = set(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit_s)
            for task in late:
                task.cancel()

    async def _finish(self, session_id: SessionId) -> None:
        policy = RetryPolicy(self._random)
        while True:
            try:
                if await self._has_all(session_id):
                    await self._spools.finish(session_id)
                    self._backfill.close(session_id)
            except StoreError as error:
                delay_s = policy.failed(asyncio.get_running_loop().time(), error)
                log.warning("spool_not_finished", session_id=session_id, reason=error.reason, failures=policy.failures)
            except Exception:
                log.exception("spool_fault", session_id=session_id)
                return
            else:
                return
            await asyncio.sleep(delay_s)

    async def _has_all(self, session_id: SessionId) -> bool:
        """Wait until the session has all its texts; return False if the daemon ends first. Raises StoreError."""
        try:
            return await self._backfill.run(await self._store.session(session_id))
        except NotFound:  # it was deleted: its audio is not needed
            self._spools.open(session_id, keep_audio=False)
            return True

    async def _record(self, session_id: SessionId) -> SessionRecord | None:
        try:
            return await self._store.session(session_id)
        except NotFound:
            return None
