"""All sessions: starts them, finds them, stops them, and answers for those of the past. Implements Sessions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from minuted_daemon.config import SessionConfig
from minuted_daemon.core.merger import Merger
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Record,
    SessionId,
    SessionRecord,
    SessionSettings,
    SessionState,
)
from minuted_daemon.core.samples import Sample, samples, seconds
from minuted_daemon.core.voice import VoiceDetector
from minuted_daemon.errors import AlreadyExists, DeviceError, MinutedError, WrongState
from minuted_daemon.ports import Capture, CaptureStream, Diarizer, Page, Spool, Transcriber
from minuted_daemon.service.engaged import EngagedDiarizer, EngagedTranscriber, Post
from minuted_daemon.service.engines import Diarizers, Transcribers
from minuted_daemon.service.parts import Parts, Surroundings
from minuted_daemon.service.retry import RetryPolicy, may_pass
from minuted_daemon.service.session import DRAIN_LIMIT_S, Session
from minuted_daemon.service.settings import is_file, settings_of
from minuted_daemon.service.standing import Standing
from minuted_daemon.service.views import EngineInfo, SessionView, StartRequest

OPEN_LIMIT_S = 4.7
"""How long opening a source may take; a start is answered within 5 s."""
RECOVERY_PAGE = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What sessions are made from. `merger` and `spool` build a fresh one for each session."""

    capture: Capture
    diarizers: Diarizers
    transcribers: Transcribers
    merger: Callable[[Diarizer | None, Transcriber | None], Merger]
    spool: Callable[[Transcriber], Spool]
    freeze_s: float


class Registry:
    """One for the daemon. `group` is where sessions live; it must outlive `stop_all`."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        workshop: Workshop,
        around: Surroundings,
        configured: Mapping[str, SessionConfig],
    ) -> None:
        self._group = group
        self._workshop = workshop
        self._around = around
        self._configured = configured
        self._sessions: dict[SessionId, Session] = {}
        self._tasks: dict[SessionId, asyncio.Task[None]] = {}
        self._starting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by name, while one is used
        self._autostarts: list[asyncio.Task[None]] = []
        self._closing = False

    # --- Sessions -----------------------------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> SessionView:
        """See Sessions. Raises WrongState (DAEMON_STOPPING) once the daemon has begun to end."""
        settings = settings_of(request, self._configured, self._workshop.diarizers, self._workshop.transcribers)
        # In a task of its own: a client that goes away must not leave half a session behind.
        accepting = self._group.create_task(self._outcome(request.name, settings))
        await asyncio.wait({accepting})
        outcome = accepting.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def stop(self, key: str) -> SessionView:
        """See Sessions."""
        session = self._live(key)
        if session is None:
            return await self.view(key)
        session.stop(DRAIN_LIMIT_S)
        await session.wait_ended()
        return session.view()

    async def view(self, key: str) -> SessionView:
        """See Sessions."""
        session = self._live(key)
        if session is not None:
            return session.view()
        return self._view_of(await self._around.store.session(key))

    async def list(self, limit: int, token: str | None) -> Page[SessionView]:
        """See Sessions."""
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

    async def recover(self) -> None:
        """Close the records of sessions that a daemon which died left live. Raises StoreError."""
        for record in await self._around.store.sessions_in_progress():
            now_s = self._around.now_s()
            heard = await self._stored_end(record)
            records: list[Record] = []
            end = Sample(max(heard, samples(now_s - record.created_s)))
            if end > heard and not is_file(record.settings.device):
                gap_id = IntervalId(self._around.new_id())
                start_wall_s = record.created_s + seconds(heard)
                records.append(
                    IntervalRecord(gap_id, record.id, IntervalKind.GAP, heard, end, start_wall_s, reason="DAEMON_DIED")
                )
                heard = end
            detail = "the daemon ended without stopping this session; what it had stored is complete"
            records.append(
                replace(
                    record,
                    state=SessionState.FAILED,
                    ended_s=now_s,
                    heard=heard,
                    reason="DAEMON_DIED",
                    detail=detail,
                )
            )
            await self._around.journal.write(records, record.name)
            log.warning("session_left_behind", session=record.name, session_id=record.id)

    def autostart(self) -> None:
        """Start, in the background, the sessions that are configured so; a source that is not there yet is awaited."""
        for name, configured in self._configured.items():
            if configured.autostart:
                self._autostarts.append(self._group.create_task(self._start_until_done(name)))

    async def stop_all(self, limit_s: float) -> None:
        """Refuse new sessions, and let the live ones settle and end within `limit_s`. May be called again."""
        self._closing = True
        for task in self._autostarts:
            task.cancel()
        deadline_s = asyncio.get_running_loop().time() + limit_s
        for lock in list(self._starting.values()):
            async with lock:  # one that was being accepted is live now, and is stopped with the others
                pass
        left_s = max(0.0, deadline_s - asyncio.get_running_loop().time())
        for session in self._sessions.values():
            session.stop(left_s)
        running = set(self._tasks.values())
        if running:
            _, late = await asyncio.wait(running, timeout=left_s)
            for task in late:
                log.error("session_cut_off")
                task.cancel()

    # --- starting -----------------------------------------------------------------------------------------------------

    async def _outcome(self, name: str, settings: SessionSettings) -> SessionView | Exception:
        """Accept a session; a failure is a result here, because it must not end the TaskGroup."""
        lock = self._starting.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                return await self._accept(name, settings)
        except Exception as error:  # noqa: BLE001 - raised again where the client is answered
            return error

    async def _accept(self, name: str, settings: SessionSettings) -> SessionView:
        if self._closing:
            raise WrongState("DAEMON_STOPPING", "the daemon is stopping; try again when it is back")
        live = self._live(name)
        if live is not None:
            if live.record.settings == settings:
                return live.view()
            message = f"a live session named {name} has other settings; stop it first, or use another name"
            raise AlreadyExists("SESSION_EXISTS", message, session=name, session_id=live.record.id)
        diarizer = await self._workshop.diarizers.engine(settings.diarizer)
        transcriber = await self._workshop.transcribers.engine(settings.transcriber)
        capture = await self._open(settings.device)
        try:
            session_id = SessionId(self._around.new_id())
            record = SessionRecord(session_id, name, settings, SessionState.STARTING, self._around.now_s())
            (stored,) = await self._around.journal.write([record], name)
            spool = None if transcriber is None else self._workshop.spool(transcriber)
            parts = self._engaged(
                Parts(
                    capture,
                    self._workshop.merger(diarizer, transcriber),
                    VoiceDetector(),
                    self._workshop.freeze_s,
                    diarizer,
                    transcriber,
                    spool,
                ),
                record,
            )
            session = Session(replace(record, seq=stored.seq), parts, self._around)
        except BaseException:
            await capture.close()
            raise
        self._sessions[session_id] = session
        self._tasks[session_id] = self._group.create_task(self._run(session))
        return session.view()

    def _engaged(self, parts: Parts, record: SessionRecord) -> Parts:
        """Have the session's engines counted, and followed by their substitutes."""
        settings, engaged_log = record.settings, log.bind(session=record.name, session_id=record.id)
        heard, told = Standing(record.diarizer_sent), Standing(record.transcriber_sent)
        diarizer, transcriber = parts.diarizer, parts.transcriber
        if diarizer is not None:
            behind = self._workshop.diarizers.substitute(settings.diarizer, settings.fallback)
            diarizer = EngagedDiarizer(Post("diarizer", diarizer, behind, heard, engaged_log))
        if transcriber is not None:
            next_one = self._workshop.transcribers.substitute(settings.transcriber, settings.fallback)
            post = Post("transcriber", transcriber, next_one, told, engaged_log)
            transcriber = EngagedTranscriber(post, settings.languages)
        return replace(
            parts,
            diarizer=diarizer,
            transcriber=transcriber,
            diarizer_standing=heard,
            transcriber_standing=told,
        )

    async def _open(self, device: str) -> CaptureStream:
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                return await self._workshop.capture.open(device)
        except TimeoutError as error:
            message = f"the source gave no audio within {OPEN_LIMIT_S:.1f} s; if it is there, try again"
            raise DeviceError("DEVICE_FAILED", message) from error

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            del self._sessions[session.record.id]
            del self._tasks[session.record.id]

    async def _start_until_done(self, name: str) -> None:
        policy = RetryPolicy(self._around.random)
        told = ""
        while True:
            try:
                await self.start(StartRequest(name))
            except MinutedError as error:
                again = may_pass(error)
                delay_s = policy.failed(asyncio.get_running_loop().time(), error) if again else None
                if error.reason != told:
                    log.error("autostart_failed", session=name, reason=error.reason, detail=error.message, again=again)
                    told = error.reason
                if delay_s is None:
                    return
                await asyncio.sleep(delay_s)
            else:
                return

    # --- finding ------------------------------------------------------------------------------------------------------

    def _live(self, key: str) -> Session | None:
        """Find a live session by id or name. One that has just ended is the store's to tell."""
        for session in self._sessions.values():
            if key in (session.record.id, session.record.name) and not session.ended:
                return session
        return None

    def _view_of(self, record: SessionRecord) -> SessionView:
        session = self._sessions.get(record.id)
        return session.view() if session is not None else SessionView(record, None, record.heard)

    async def _stored_end(self, record: SessionRecord) -> Sample:
        """How far a session is known to have come: what its record says, or its last turn."""
        end, token = record.heard, None
        while True:
            page = await self._around.store.turns(record.id, RECOVERY_PAGE, token)
            end = max([end, *(stored.turn.end for stored in page.items)])
            token = page.next_token
            if token is None:
                return end
