"""The sessions that a daemon which died, or was restarted, left: they go on in the background once the next one serves.

What they go on from is read in recovery/state.py; which of those that were ended go on is decided in restart.py.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import structlog

from minuted_daemon.core.records import SessionRecord, SessionState
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.core.session_rules import SessionConfig, is_file
from minuted_daemon.errors import MinutedError, StoreError
from minuted_daemon.ports.capture import CaptureStream
from minuted_daemon.service.erasure import Erasure
from minuted_daemon.service.lifecycle.live_sessions import LiveSessions
from minuted_daemon.service.recovery.state import resumed
from minuted_daemon.service.session.context import SharedServices
from minuted_daemon.service.session.factory import SessionFactory, SessionResources
from minuted_daemon.service.session.session import INTERNAL_FAULT
from minuted_daemon.service.session.settings import choice_of, settings_of
from minuted_daemon.service.session.sources import DeferredCapture, EmptyCapture
from minuted_daemon.service.views import StartRequest

log = structlog.get_logger()


class CrashRecovery:
    """One for the daemon. A session's name is locked until it goes on, or cannot."""

    def __init__(
        self,
        workshop: SessionResources,
        around: SharedServices,
        assembly: SessionFactory,
        configured: Mapping[str, SessionConfig],
        live: LiveSessions,
        erasure: Erasure,
    ) -> None:
        self._workshop = workshop
        self._around = around
        self._assembly = assembly
        self._configured = configured
        self._live = live
        self._erasure = erasure
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self, record: SessionRecord, lock: asyncio.Lock, serving: asyncio.Event | None) -> None:
        """Go on with a session, in the background; `lock` is released when it is there, or cannot go on.

        `serving`: nothing is begun before it is set.
        """
        task = self._live.spawn(self._resume(record, lock, serving))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self, limit_s: float) -> None:
        """Wait until all are there, or have failed; at the latest after `limit_s`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_s)

    def is_as_configured(self, record: SessionRecord) -> bool:
        """A session that starts with the daemon starts as it is configured by now, which takes another one."""
        configured = self._configured.get(record.name)
        if configured is None or not configured.autostart:
            return True
        try:
            workshop = self._workshop
            now = settings_of(StartRequest(record.name), self._configured, workshop.diarizers, workshop.transcribers)
        except MinutedError:  # it could not be started
            return True
        return now == record.settings

    async def _resume(self, record: SessionRecord, lock: asyncio.Lock, serving: asyncio.Event | None) -> None:
        try:
            if serving is not None:
                await serving.wait()
            engines = await self._assembly.engines_again(record.settings)
            spool = self._assembly.spool(record)
            asked = await self._erasure.asked(record.id)
            found = await resumed(record, self._around.store, spool, asked)
            for gone in asked:
                # Nothing of it is read any more from here on; where this fails, it is tried again later.
                with contextlib.suppress(StoreError):
                    await self._workshop.spools.erase(record.id, gone.start, gone.end)
            capture = self._source_of(record, found.heard)
            self._live.begin(self._assembly.session(record, capture, engines, spool, found))
        except MinutedError as error:
            log.error("session_not_resumed", session=record.name, session_id=record.id, reason=error.reason)
            await self._fail(record, error.reason, error.message)
        except Exception:
            log.exception("session_resume_fault", session=record.name, session_id=record.id)
            await self._fail(record, *INTERNAL_FAULT)
        finally:
            lock.release()

    async def _fail(self, record: SessionRecord, reason: str, detail: str) -> None:
        """A session that cannot go on has ended; what was stored of it is complete."""
        ended_s = self._around.now_s()
        ended = replace(record, state=SessionState.FAILED, ended_s=ended_s, reason=reason, detail=detail)
        with contextlib.suppress(StoreError):  # the next start tries again
            await self._around.publisher.write([ended], record.name)

    def _source_of(self, record: SessionRecord, heard: Sample) -> CaptureStream:
        """A device may be away and is waited for; a file is read on after what was heard of it."""
        if record.state is SessionState.STOPPING:
            return EmptyCapture()
        skipped = heard // BLOCK if is_file(record.settings.device) else 0
        choice = choice_of(record.settings)
        opening = partial(
            self._workshop.capture.open, record.settings.device, wait=True, skip_blocks=skipped, choice=choice
        )
        return DeferredCapture(opening, paused=record.state is SessionState.PAUSED)
