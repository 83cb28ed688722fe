"""All sessions: starts them, finds them, stops them, and answers for those of the past. Implements Sessions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from minuted_daemon.core.records import (
    LIVE_STATES,
    IntervalId,
    IntervalKind,
    IntervalRecord,
    SessionRecord,
    SessionState,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import WrongState
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import REDACTED
from minuted_daemon.service.backfill.runner import Backfill
from minuted_daemon.service.backfill.spool_finalizer import SpoolFinalizer
from minuted_daemon.service.connections.retry_request import ask_again
from minuted_daemon.service.coverage import with_coverage
from minuted_daemon.service.erasure import Erasure, within
from minuted_daemon.service.lifecycle.autostart import Autostart
from minuted_daemon.service.lifecycle.crash_recovery import CrashRecovery
from minuted_daemon.service.lifecycle.live_sessions import LiveSessions
from minuted_daemon.service.lifecycle.restart import RestartResume
from minuted_daemon.service.lifecycle.session_end import check_stored, store_end
from minuted_daemon.service.lifecycle.session_start import SessionStart
from minuted_daemon.service.session.context import SharedServices
from minuted_daemon.service.session.factory import SessionFactory, SessionResources
from minuted_daemon.service.session.session import DRAIN_LIMIT_S, Session
from minuted_daemon.service.session.wall_clock import WallClock
from minuted_daemon.service.views import EngineInfo, Redaction, RetriedLink, SessionView, StartRequest, Stretch

RESUME_LIMIT_S = 5.0
"""How long a request waits for the sessions that go on from before."""


class Registry:
    """One for the daemon. `group` is where sessions live; it must outlive `stop_all`."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        workshop: SessionResources,
        around: SharedServices,
        configured: Mapping[str, SessionConfig],
        erasing: Erasure,
    ) -> None:
        self._workshop = workshop
        self._around = around
        self._erasing = erasing
        assembly = SessionFactory(workshop, around)
        self._backfill = Backfill(workshop.spools, around.store, around.publisher, assembly, around.new_id)
        self._finalizer = SpoolFinalizer(group, workshop.spools, around.store, self._backfill, around.random)
        self._interrupted = RestartResume(around.store, around.publisher, around.now_s)
        self._sessions = LiveSessions(group, self._backfill, self._finalizer, self._interrupted)
        self._recovering = CrashRecovery(workshop, around, assembly, configured, self._sessions, erasing)
        self._starting = SessionStart(workshop, around, assembly, configured, self._sessions)
        self._autostart = Autostart(configured, self._starting, self._sessions, around.random)

    # --- Sessions -----------------------------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> SessionView:
        """See Sessions. Raises WrongState (DAEMON_STOPPING) once the daemon has begun to end."""
        return await self._starting.start(request)

    async def stop(self, key: str) -> SessionView:
        """See Sessions."""
        await self._recovering.wait(RESUME_LIMIT_S)
        session = self._sessions.find(key) or await self._settled((await self.view(key)).record)
        if session is None:
            view = await self.view(key)
            await self._sessions.uncancelled(self._interrupted.end(view.record.id))
            return view
        # At once: it is not to be noted by a daemon that is told to end now.
        self._sessions.stop(session, DRAIN_LIMIT_S)
        await self._sessions.uncancelled(self._interrupted.end(session.record.id))
        await session.wait_ended()
        await check_stored(self._around.store, session.record.id)
        return session.view()

    async def _settled(self, record: SessionRecord) -> Session | None:
        """Return the session of a live record if it is just beginning; else its end was not stored, and is now."""
        if record.state not in LIVE_STATES:
            return None
        async with self._sessions.lock(record.name):
            session = self._sessions.find(record.id)
            if session is None:
                await self._sessions.uncancelled(store_end(self._around, record.id))
            return session

    async def pause(self, key: str) -> SessionView:
        """See Sessions."""
        try:
            view = await (await self._going_on(key)).pause()
        except WrongState:
            if not self._sessions.closing:
                raise
            view = await self.view(key)
            if not await self._resumes_paused(view.record):
                raise
        else:
            # It may have been marked as it was before.
            if not self._sessions.closing or not await self._resumes_paused(view.record):
                return view
        # Nothing of it is heard by now, and nothing will be before it is resumed, by the next daemon.
        return replace(view, record=replace(view.record, state=SessionState.PAUSED, ended_s=None))

    async def _resumes_paused(self, record: SessionRecord) -> bool:
        """Have an interrupted session go on paused; return whether it goes on. Raises StoreError."""
        noted = await self._sessions.uncancelled(self._interrupted.pause(record.id))
        return noted and record.state is not SessionState.FAILED

    async def resume(self, key: str) -> SessionView:
        """See Sessions. Raises WrongState (DAEMON_STOPPING) once the daemon has begun to end."""
        if self._sessions.closing and (
            self._sessions.find(key) is not None or (await self.view(key)).record.id in self._interrupted
        ):
            raise WrongState("DAEMON_STOPPING", "the daemon is stopping; resume the session when it is back")
        return await (await self._going_on(key)).resume()

    async def delete(self, key: str) -> None:
        """See Sessions."""
        session = self._sessions.find(key)
        record = await self._around.store.session(key) if session is None else session.record
        if session is not None or record.state in LIVE_STATES:
            message = f"the session {record.name} is live: stop it first"
            raise WrongState("SESSION_LIVE", message, session=record.name, session_id=record.id)
        await self._sessions.uncancelled(self._delete(record))

    async def _delete(self, record: SessionRecord) -> None:
        await self._finalizer.cancel_and_wait(record.id)
        try:
            await self._erasing.delete(record)
        finally:
            self._finalizer.begin(record.id)  # of a session that is gone this leaves nothing

    async def redact(self, key: str, stretch: Stretch) -> Redaction:
        """See Sessions. Raises WrongState (SESSION_RESUMING): it is not known yet how far the session has come."""
        view = await self.view(key)
        session = self._sessions.find(view.record.id)
        if session is None and view.record.state in LIVE_STATES:
            message = f"the session {view.record.name} is about to go on; try again"
            raise WrongState("SESSION_RESUMING", message, session=view.record.name, session_id=view.record.id)
        start, end = within(stretch, view.heard)
        if session is None:
            start_wall_s = WallClock(await self._around.store.wall_points(view.record.id)).wall_s(start)
        else:
            start_wall_s = session.wall_s(start)
        interval_id = IntervalId(self._around.new_id())
        interval = IntervalRecord(
            interval_id, view.record.id, IntervalKind.MUTED, start, end, start_wall_s, reason=REDACTED
        )

        def forget(start: Sample, end: Sample) -> None:
            if session is not None:
                session.forget(start, end)
            if session is None or self._sessions.is_backfilled(view.record.id):
                self._backfill.forget(view.record.id, start, end)

        return await self._sessions.uncancelled(self._erasing.redact(interval, view.record.name, forget))

    async def retry(self, key: str | None) -> Sequence[RetriedLink]:
        """See Sessions."""
        if key is not None:
            return await ask_again((await self._going_on(key)).refused_links())
        await self._recovering.wait(RESUME_LIMIT_S)
        return await ask_again(
            [link for session in self._sessions.not_ended() for link in session.refused_links()]
            + self._backfill.refused()
        )

    async def view(self, key: str) -> SessionView:
        """See Sessions."""
        await self._recovering.wait(RESUME_LIMIT_S)
        session = self._sessions.find(key)
        if session is not None:
            return session.view()
        return self._view_of(await self._around.store.session(key))

    async def view_with_coverage(self, key: str) -> SessionView:
        """See Sessions."""
        await self._recovering.wait(RESUME_LIMIT_S)
        session = self._sessions.find(key)
        if session is not None:
            return await with_coverage(self._around.store, session.view(), session.open_claims(), session.is_owed)
        view = self._view_of(await self._around.store.session(key))
        return await with_coverage(self._around.store, view, (), self._backfill.is_owed(view.record.id))

    async def list(self, limit: int, token: str | None) -> Page[SessionView]:
        """See Sessions."""
        await self._recovering.wait(RESUME_LIMIT_S)
        page = await self._around.store.sessions(limit, token)
        return Page([self._view_of(record) for record in page.items], page.next_token)

    def engines(self) -> Sequence[EngineInfo]:
        """See Sessions."""
        return [*self._workshop.diarizers.infos(), *self._workshop.transcribers.infos()]

    def auto(self) -> tuple[str, str]:
        """See Sessions. Empty where no engine can be used."""
        return self._workshop.diarizers.auto(), self._workshop.transcribers.auto()

    def live_count(self) -> int:
        """See Sessions."""
        return len(self._sessions.not_ended())

    # --- the daemon's own start and end -------------------------------------------------------------------------------

    async def recover(self, serving: asyncio.Event | None = None) -> None:
        """Go on with the sessions that a daemon which died, or was restarted, left; in the background.

        `serving`: nothing is begun before it is set, so that the daemon answers first; requests wait for the sessions.
        Raises StoreError.
        """
        await self._interrupted.resume(self._recovering.is_as_configured)
        for record in await self._around.store.sessions_in_progress():
            lock = self._sessions.lock(record.name)
            await lock.acquire()  # no other one of that name is started meanwhile
            self._recovering.resume(record, lock, serving)
        await self._finalizer.finalize_leftovers(self._sessions)

    def autostart(self) -> None:
        """Start, in the background, the sessions that are configured so; a device that is not there yet is awaited."""
        self._autostart.begin()

    async def stop_all(self, limit_s: float) -> None:
        """Refuse new sessions, and let the live ones settle and end within `limit_s`. May be called again."""
        deadline_s = asyncio.get_running_loop().time() + limit_s
        self._backfill.stop()
        self._autostart.stop()
        await self._sessions.close(deadline_s)
        await self._finalizer.stop(max(0.0, deadline_s - asyncio.get_running_loop().time()))

    # --- finding ------------------------------------------------------------------------------------------------------

    async def _going_on(self, key: str) -> Session:
        await self._recovering.wait(RESUME_LIMIT_S)
        session = self._sessions.find(key)
        if session is None:
            record = await self._around.store.session(key)
            message = f"the session {record.name} has ended"
            raise WrongState("SESSION_ENDED", message, session=record.name, session_id=record.id)
        return session

    def _view_of(self, record: SessionRecord) -> SessionView:
        if record.id in self._sessions:
            return self._sessions[record.id].view()
        return SessionView(record, None, record.heard)
