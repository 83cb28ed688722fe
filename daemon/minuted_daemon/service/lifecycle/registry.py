"""All sessions: starts them, finds them, stops them, and answers for those of the past. Implements Sessions."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog

from minuted_daemon.core.records import (
    LIVE_STATES,
    IntervalId,
    IntervalKind,
    IntervalRecord,
    SessionId,
    SessionRecord,
    SessionSettings,
    SessionState,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.core.session_rules import SessionConfig, is_file
from minuted_daemon.errors import AlreadyExists, DeviceError, MinutedError, StoreError, WrongState
from minuted_daemon.ports.capture import CaptureStream
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import REDACTED
from minuted_daemon.service.backfill.runner import Backfill
from minuted_daemon.service.backfill.spool_finalizer import SpoolFinalizer
from minuted_daemon.service.connections.retry_request import ask_again
from minuted_daemon.service.coverage import with_coverage
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.erasure import Erasure, within
from minuted_daemon.service.lifecycle.crash_recovery import CrashRecovery
from minuted_daemon.service.lifecycle.restart import RestartResume
from minuted_daemon.service.lifecycle.session_end import check_stored, store_end
from minuted_daemon.service.retries.policy import RetryPolicy, may_pass
from minuted_daemon.service.session.context import SharedServices
from minuted_daemon.service.session.factory import SessionFactory, SessionResources
from minuted_daemon.service.session.session import DRAIN_LIMIT_S, Session
from minuted_daemon.service.session.settings import choice_of, settings_of
from minuted_daemon.service.session.sources import DeferredCapture
from minuted_daemon.service.session.wall_clock import WallClock
from minuted_daemon.service.task_groups import cancel_and_wait
from minuted_daemon.service.views import EngineInfo, Redaction, RetriedLink, SessionView, StartRequest, Stretch

T = TypeVar("T")
Opening = Callable[[SessionSettings], Awaitable[CaptureStream]]

OPEN_LIMIT_S = 4.7
"""How long opening a source may take; a start is answered within 5 s."""
RESUME_LIMIT_S = 5.0
"""How long a request waits for the sessions that go on from before."""
STILL_STOPPING = "SESSION_STOPPING"
"""The reason of a start that is refused because the session of that name has not ended yet."""

log = structlog.get_logger()


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
        self._group = group
        self._workshop = workshop
        self._around = around
        self._configured = configured
        self._erasing = erasing
        self._assembly = SessionFactory(workshop, around)
        self._owing = Backfill(
            workshop.spools,
            around.store,
            around.publisher,
            self._assembly.transcriber,
            self._assembly.gates,
            around.new_id,
        )
        self._finishing = SpoolFinalizer(group, workshop.spools, around.store, self._owing, around.random)
        self._interrupted = RestartResume(around.store, around.publisher, around.now_s)
        self._sessions: dict[SessionId, Session] = {}
        self._recovering = CrashRecovery(
            group, workshop, around, self._assembly, configured, self._begin, erasing.asked
        )
        self._tasks: dict[SessionId, asyncio.Task[None]] = {}
        self._paying: dict[SessionId, asyncio.Task[None]] = {}
        self._starting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by name, while one is used
        self._autostarts: list[asyncio.Task[None]] = []
        self._stopped: set[SessionId] = set()
        """Live sessions that somebody has asked to stop; they may hear on until their device is released."""
        self._closing = False

    # --- Sessions -----------------------------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> SessionView:
        """See Sessions. Raises WrongState (DAEMON_STOPPING) once the daemon has begun to end."""
        return await self._started(request, self._open)

    async def _started(self, request: StartRequest, opened: Opening) -> SessionView:
        settings = settings_of(request, self._configured, self._workshop.diarizers, self._workshop.transcribers)
        # In a task of its own: a client that goes away must not leave half a session behind.
        accepting = self._group.create_task(self._outcome(request.name, settings, opened))
        await asyncio.wait({accepting})
        outcome = accepting.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def stop(self, key: str) -> SessionView:
        """See Sessions."""
        await self._recovering.done(RESUME_LIMIT_S)
        session = self._live(key) or await self._settled((await self.view(key)).record)
        if session is None:
            view = await self.view(key)
            await self._in_a_task_of_its_own(self._interrupted.end(view.record.id))
            return view
        # At once: it is not to be noted by a daemon that is told to end now.
        self._stopped.add(session.record.id)
        session.stop(DRAIN_LIMIT_S)
        await self._in_a_task_of_its_own(self._interrupted.end(session.record.id))
        await session.wait_ended()
        await check_stored(self._around.store, session.record.id)
        return session.view()

    async def _settled(self, record: SessionRecord) -> Session | None:
        """Return the session of a live record if it is just beginning; else its end was not stored, and is now."""
        if record.state not in LIVE_STATES:
            return None
        async with self._starting.setdefault(record.name, asyncio.Lock()):
            session = self._live(record.id)
            if session is None:
                await self._in_a_task_of_its_own(store_end(self._around, record.id))
            return session

    async def pause(self, key: str) -> SessionView:
        """See Sessions."""
        try:
            view = await (await self._going_on(key)).pause()
        except WrongState:
            if not self._closing:
                raise
            view = await self.view(key)
            if not await self._goes_on_paused(view.record):
                raise
        else:
            # It may have been marked as it was before.
            if not self._closing or not await self._goes_on_paused(view.record):
                return view
        # Nothing of it is heard by now, and nothing will be before it is resumed, by the next daemon.
        return replace(view, record=replace(view.record, state=SessionState.PAUSED, ended_s=None))

    async def _goes_on_paused(self, record: SessionRecord) -> bool:
        """Have a session that the daemon's end interrupts go on paused; tell whether it goes on. Raises StoreError."""
        noted = await self._in_a_task_of_its_own(self._interrupted.pause(record.id))
        return noted and record.state is not SessionState.FAILED

    async def resume(self, key: str) -> SessionView:
        """See Sessions. Raises WrongState (DAEMON_STOPPING) once the daemon has begun to end."""
        if self._closing and (self._live(key) is not None or (await self.view(key)).record.id in self._interrupted):
            raise WrongState("DAEMON_STOPPING", "the daemon is stopping; resume the session when it is back")
        return await (await self._going_on(key)).resume()

    async def delete(self, key: str) -> None:
        """See Sessions."""
        session = self._live(key)
        record = await self._around.store.session(key) if session is None else session.record
        if session is not None or record.state in LIVE_STATES:
            message = f"the session {record.name} is live: stop it first"
            raise WrongState("SESSION_LIVE", message, session=record.name, session_id=record.id)
        await self._in_a_task_of_its_own(self._delete(record))

    async def _delete(self, record: SessionRecord) -> None:
        await self._finishing.leave(record.id)
        try:
            await self._erasing.delete(record)
        finally:
            self._finishing.begin(record.id)  # of a session that is gone this leaves nothing

    async def redact(self, key: str, stretch: Stretch) -> Redaction:
        """See Sessions. Raises WrongState (SESSION_RESUMING): nobody can say yet how far the session has come."""
        view = await self.view(key)
        session = self._live(view.record.id)
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
            if session is None or view.record.id in self._paying:
                self._owing.forget(view.record.id, start, end)

        return await self._in_a_task_of_its_own(self._erasing.redact(interval, view.record.name, forget))

    async def retry(self, key: str | None) -> Sequence[RetriedLink]:
        """See Sessions."""
        if key is not None:
            return await ask_again((await self._going_on(key)).refused_links())
        await self._recovering.done(RESUME_LIMIT_S)
        live = [session for session in self._sessions.values() if not session.ended]
        return await ask_again([link for session in live for link in session.refused_links()] + self._owing.refused())

    async def view(self, key: str) -> SessionView:
        """See Sessions."""
        await self._recovering.done(RESUME_LIMIT_S)
        session = self._live(key)
        if session is not None:
            return session.view()
        return self._view_of(await self._around.store.session(key))

    async def view_with_coverage(self, key: str) -> SessionView:
        """See Sessions."""
        await self._recovering.done(RESUME_LIMIT_S)
        session = self._live(key)
        if session is not None:
            return await with_coverage(self._around.store, session.view(), session.open_claims(), session.is_owed)
        view = self._view_of(await self._around.store.session(key))
        return await with_coverage(self._around.store, view, (), self._owing.is_owed(view.record.id))

    async def list(self, limit: int, token: str | None) -> Page[SessionView]:
        """See Sessions."""
        await self._recovering.done(RESUME_LIMIT_S)
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
        return sum(not session.ended for session in self._sessions.values())

    # --- the daemon's own start and end -------------------------------------------------------------------------------

    async def recover(self, serving: asyncio.Event | None = None) -> None:
        """Go on with the sessions that a daemon which died, or was restarted, left; in the background.

        `serving`: nothing is begun before it is set, so that the daemon answers first; requests wait for the sessions.
        Raises StoreError.
        """
        await self._interrupted.go_on(self._recovering.is_as_configured)
        for record in await self._around.store.sessions_in_progress():
            lock = self._starting.setdefault(record.name, asyncio.Lock())
            await lock.acquire()  # nobody starts another one of that name meanwhile
            self._recovering.go_on(record, lock, serving)
        await self._finishing.go_over(self._sessions)

    def autostart(self) -> None:
        """Start, in the background, the sessions that are configured so; a device that is not there yet is awaited."""
        for name, configured in self._configured.items():
            if configured.autostart:
                self._autostarts.append(self._group.create_task(self._start_until_done(name)))

    async def stop_all(self, limit_s: float) -> None:
        """Refuse new sessions, and let the live ones settle and end within `limit_s`. May be called again."""
        self._closing = True
        self._owing.stop()
        for task in self._autostarts:
            task.cancel()
        deadline_s = asyncio.get_running_loop().time() + limit_s
        for lock in list(self._starting.values()):
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
                log.error("session_cut_off")
                task.cancel()
        await self._finishing.stop(max(0.0, deadline_s - asyncio.get_running_loop().time()))

    # --- starting -----------------------------------------------------------------------------------------------------

    async def _outcome(self, name: str, settings: SessionSettings, opened: Opening) -> SessionView | Exception:
        """Accept a session; a failure is a result here, because it must not end the TaskGroup."""
        lock = self._starting.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                return await self._accept(name, settings, opened)
        except Exception as error:  # noqa: BLE001 - raised again where the client is answered
            return error

    async def _accept(self, name: str, settings: SessionSettings, opened: Opening) -> SessionView:
        if self._closing:
            raise WrongState("DAEMON_STOPPING", "the daemon is stopping; try again when it is back")
        live = self._live(name)
        if live is not None:
            if live.record.id in self._stopped or live.record.state is SessionState.STOPPING:
                message = f"the session {name} is still being stopped: start it once that one has ended"
                raise WrongState(STILL_STOPPING, message, session=name, session_id=live.record.id)
            if live.record.settings == settings:
                return live.view()
            message = f"a live session named {name} has other settings; stop it first, or use another name"
            raise AlreadyExists("SESSION_EXISTS", message, session=name, session_id=live.record.id)
        try:
            await self._workshop.spools.ensure_room()
        except StoreError as error:
            raise WrongState(error.reason, error.message, **error.facts) from error
        engines = await self._assembly.engines(settings)
        capture = await opened(settings)
        try:
            session_id = SessionId(self._around.new_id())
            record = SessionRecord(session_id, name, settings, SessionState.STARTING, self._around.now_s())
            (stored,) = await self._around.publisher.write([record], name)
            record = replace(record, seq=stored.seq)
            session = self._assembly.session(record, capture, engines, self._assembly.spool(record))
        except BaseException:
            await capture.close()
            raise
        self._begin(session)
        return session.view()

    def _begin(self, session: Session) -> None:
        session_id = session.record.id
        self._sessions[session_id] = session
        self._tasks[session_id] = self._group.create_task(self._run(session))
        if session.owed is not None:
            self._paying[session_id] = self._group.create_task(self._pay(session, *session.owed))

    async def _pay(self, session: Session, before: Sample, usage: EngineUsage) -> None:
        """Get the texts that a session lacks from before a restart; it may go on for months."""
        try:
            if await self._owing.paid_live(session.record, before, usage):
                session.paid()
        except MinutedError as error:  # what is left is asked for once it has ended
            log.warning("texts_left", session=session.record.name, reason=error.reason)
        except Exception:
            log.exception("owing_fault", session=session.record.name)

    async def _open(self, settings: SessionSettings) -> CaptureStream:
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                return await self._workshop.capture.open(settings.device, choice=choice_of(settings))
        except TimeoutError as error:
            message = f"the source gave no audio within {OPEN_LIMIT_S:.1f} s; if it is there, try again"
            raise DeviceError("DEVICE_FAILED", message) from error

    async def _open_once_there(self, settings: SessionSettings) -> CaptureStream:
        """Nobody waits for the answer of an autostart: its device may come later than the session."""
        if is_file(settings.device):
            return await self._open(settings)
        choice = choice_of(settings)
        return DeferredCapture(
            partial(self._workshop.capture.open, settings.device, wait=True, choice=choice), paused=False
        )

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            await cancel_and_wait(self._paying.pop(session.record.id, None))
            if session.record.state not in LIVE_STATES and session.record.id not in self._interrupted:
                self._finishing.begin(session.record.id)
            self._stopped.discard(session.record.id)
            del self._sessions[session.record.id]
            del self._tasks[session.record.id]

    async def _start_until_done(self, name: str) -> None:
        policy = RetryPolicy(self._around.random)
        told = ""
        while True:
            try:
                await self._started(StartRequest(name), self._open_once_there)
            except MinutedError as error:
                again = may_pass(error) or error.reason == STILL_STOPPING
                delay_s = policy.failed(asyncio.get_running_loop().time(), error) if again else None
                if error.reason != told:
                    log.error("autostart_failed", session=name, reason=error.reason, detail=error.message, again=again)
                    told = error.reason
                if delay_s is None:
                    return
                await asyncio.sleep(delay_s)
            else:
                return

    async def _in_a_task_of_its_own(self, work: Coroutine[Any, Any, T]) -> T:
        """A client that goes away must not leave it half done."""
        task = self._group.create_task(_outcome(work))
        await asyncio.wait({task})
        outcome = task.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    # --- finding ------------------------------------------------------------------------------------------------------

    def _live(self, key: str) -> Session | None:
        """Find a live session by id or name. One that has just ended is the store's to tell."""
        for session in self._sessions.values():
            if key in (session.record.id, session.record.name) and not session.ended:
                return session
        return None

    async def _going_on(self, key: str) -> Session:
        await self._recovering.done(RESUME_LIMIT_S)
        session = self._live(key)
        if session is None:
            record = await self._around.store.session(key)
            message = f"the session {record.name} has ended"
            raise WrongState("SESSION_ENDED", message, session=record.name, session_id=record.id)
        return session

    def _view_of(self, record: SessionRecord) -> SessionView:
        session = self._sessions.get(record.id)
        return session.view() if session is not None else SessionView(record, None, record.heard)


async def _outcome(work: Coroutine[Any, Any, T]) -> T | Exception:
    """A failure is a result here, because it must not end the TaskGroup."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - raised again where the client is answered
        return error
