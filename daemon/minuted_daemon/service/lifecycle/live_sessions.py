"""The sessions that are live, each in a task of its own until nothing of it is left to do here.

How one is started belongs in session_start.py, what is answered about it in registry.py.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog

from minuted_daemon.core.records import LIVE_STATES, SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import MinutedError
from minuted_daemon.service.backfill.runner import Backfill
from minuted_daemon.service.backfill.spool_finalizer import SpoolFinalizer
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.lifecycle.restart import RestartResume
from minuted_daemon.service.session.session import Session
from minuted_daemon.service.task_groups import cancel_and_wait

T = TypeVar("T")

log = structlog.get_logger()


class LiveSessions:
    """One for the daemon. `group` is where sessions live."""

    def __init__(
        self, group: asyncio.TaskGroup, backfill: Backfill, finalizer: SpoolFinalizer, interrupted: RestartResume
    ) -> None:
        self._group = group
        self._backfill = backfill
        self._finalizer = finalizer
        self._interrupted = interrupted
        self._sessions: dict[SessionId, Session] = {}
        self._tasks: dict[SessionId, asyncio.Task[None]] = {}
        self._backfills: dict[SessionId, asyncio.Task[None]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by name, while one is used
        self._stopped: set[SessionId] = set()
        self._closing = False

    def __getitem__(self, session_id: SessionId) -> Session:
        """Return a session until its task is over, also when it has just ended. Raises KeyError."""
        return self._sessions[session_id]

    def __contains__(self, session_id: object) -> bool:
        """Return whether its task is not over."""
        return session_id in self._sessions

    def __iter__(self) -> Iterator[SessionId]:
        """Return the ids of all whose tasks are not over."""
        return iter(self._sessions)

    def __len__(self) -> int:
        """Return how many tasks are not over."""
        return len(self._sessions)

    @property
    def closing(self) -> bool:
        """True once the daemon has begun to end."""
        return self._closing

    def find(self, key: str) -> Session | None:
        """Return a live session by id or name. One that has just ended is read from the store."""
        for session in self._sessions.values():
            if key in (session.record.id, session.record.name) and not session.ended:
                return session
        return None

    def not_ended(self) -> list[Session]:
        """Return all that have not ended."""
        return [session for session in self._sessions.values() if not session.ended]

    def task(self, session_id: SessionId) -> "asyncio.Task[None]":
        """Return a session's task. Raises KeyError once it is over."""
        return self._tasks[session_id]

    def is_stopped(self, session_id: SessionId) -> bool:
        """Return whether a client asked to stop this session; it may hear on until its device is released."""
        return session_id in self._stopped

    def is_backfilled(self, session_id: SessionId) -> bool:
        """Return whether texts from before a restart are being asked for."""
        return session_id in self._backfills

    def lock(self, name: str) -> asyncio.Lock:
        """Return what is held while a session of this name is started."""
        return self._locks.setdefault(name, asyncio.Lock())

    def begin(self, session: Session) -> None:
        """Run a session."""
        session_id = session.record.id
        self._sessions[session_id] = session
        self._tasks[session_id] = self._group.create_task(self._run(session))
        if session.owed is not None:
            self._backfills[session_id] = self._group.create_task(self._run_backfill(session, *session.owed))

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Do something beside the sessions, in their TaskGroup."""
        return self._group.create_task(work)

    async def uncancelled(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish this also if the caller is cancelled: a client that goes away leaves nothing half done."""
        task = self._group.create_task(_outcome(work))
        await asyncio.wait({task})
        outcome = task.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self, session: Session, limit_s: float) -> None:
        """Begin to end a session because a client asked for it: it does not go on when the daemon is started again."""
        self._stopped.add(session.record.id)
        session.stop(limit_s)

    async def close(self, deadline_s: float) -> None:
        """Let all sessions settle and end until this time of the loop; no other begins. May be called again."""
        self._closing = True
        for lock in list(self._locks.values()):
            async with lock:  # one that was being accepted is live now, and is stopped with the others
                pass
        going_on = [session.record for session in self._sessions.values() if session.record.id not in self._stopped]
        await self._interrupted.keep(going_on)
        left_s = max(0.0, deadline_s - asyncio.get_running_loop().time())
        for session in self._sessions.values():
            session.stop(left_s)
        running = set(self._tasks.values())
        if running:
            _, late = await asyncio.wait(running, timeout=left_s)
            for task in late:
                log.error("session_cancelled")
                task.cancel()

    async def _run(self, session: Session) -> None:
        session_id = session.record.id
        try:
            await session.run()
        finally:
            await cancel_and_wait(self._backfills.pop(session_id, None))
            if session.record.state not in LIVE_STATES and session_id not in self._interrupted:
                self._finalizer.begin(session_id)
            self._stopped.discard(session_id)
            del self._sessions[session_id]
            del self._tasks[session_id]

    async def _run_backfill(self, session: Session, before: Sample, usage: EngineUsage) -> None:
        """Get the texts that a session lacks from before a restart; it may go on for months."""
        try:
            if await self._backfill.run_live(session.record, before, usage):
                session.paid()
        except MinutedError as error:  # what is left is asked for once it has ended
            log.warning("backfill_postponed", session=session.record.name, reason=error.reason)
        except Exception:
            log.exception("backfill_fault", session=session.record.name)


async def _outcome(work: Coroutine[Any, Any, T]) -> T | Exception:
    """A failure is a result here, because it must not end the TaskGroup."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - raised again where the client is answered
        return error
