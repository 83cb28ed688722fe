"""How a session is started: its settings are resolved, its source is opened, its record is stored, and it runs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from minuted_daemon.core.records import SessionId, SessionRecord, SessionSettings, SessionState
from minuted_daemon.core.session_rules import SessionConfig, is_file
from minuted_daemon.errors import AlreadyExists, DeviceError, StoreError, WrongState
from minuted_daemon.ports.capture import CaptureStream
from minuted_daemon.service.lifecycle.live_sessions import LiveSessions
from minuted_daemon.service.session.context import SharedServices
from minuted_daemon.service.session.factory import SessionFactory, SessionResources
from minuted_daemon.service.session.settings import choice_of, settings_of
from minuted_daemon.service.session.sources import DeferredCapture
from minuted_daemon.service.views import SessionView, StartRequest

Opening = Callable[[SessionSettings], Awaitable[CaptureStream]]

OPEN_LIMIT_S = 4.7
"""How long opening a source may take; a start is answered within 5 s."""
STILL_STOPPING = "SESSION_STOPPING"
"""The reason of a start that is refused because the session of that name has not ended yet."""


class SessionStart:
    """One for the daemon."""

    def __init__(
        self,
        workshop: SessionResources,
        around: SharedServices,
        assembly: SessionFactory,
        configured: Mapping[str, SessionConfig],
        live: LiveSessions,
    ) -> None:
        self._workshop = workshop
        self._around = around
        self._assembly = assembly
        self._configured = configured
        self._live = live

    async def start(self, request: StartRequest) -> SessionView:
        """See Sessions. Raises WrongState (DAEMON_STOPPING) once the daemon has begun to end."""
        return await self._start(request, self._open)

    async def start_deferred(self, request: StartRequest) -> SessionView:
        """Start a session whose device may come later than it: no client waits for the answer."""
        return await self._start(request, self._open_deferred)

    async def _start(self, request: StartRequest, opened: Opening) -> SessionView:
        settings = settings_of(request, self._configured, self._workshop.diarizers, self._workshop.transcribers)
        return await self._live.uncancelled(self._accept_alone(request.name, settings, opened))

    async def _accept_alone(self, name: str, settings: SessionSettings, opened: Opening) -> SessionView:
        async with self._live.lock(name):
            return await self._accept(name, settings, opened)

    async def _accept(self, name: str, settings: SessionSettings, opened: Opening) -> SessionView:
        if self._live.closing:
            raise WrongState("DAEMON_STOPPING", "the daemon is stopping; try again when it is back")
        live = self._live.find(name)
        if live is not None:
            if self._live.is_stopped(live.record.id) or live.record.state is SessionState.STOPPING:
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
        self._live.begin(session)
        return session.view()

    async def _open(self, settings: SessionSettings) -> CaptureStream:
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                return await self._workshop.capture.open(settings.device, choice=choice_of(settings))
        except TimeoutError as error:
            message = f"the source gave no audio within {OPEN_LIMIT_S:.1f} s; if it is there, try again"
            raise DeviceError("DEVICE_FAILED", message) from error

    async def _open_deferred(self, settings: SessionSettings) -> CaptureStream:
        if is_file(settings.device):
            return await self._open(settings)
        choice = choice_of(settings)
        return DeferredCapture(
            partial(self._workshop.capture.open, settings.device, wait=True, choice=choice), paused=False
        )
