"""Sessions that ended because the daemon did: an upgrade or a restart in a meeting must not end its minutes.

They are stored as STOPPED like any other, because the daemon may not come back. If it does soon, they go on, under the
same ids, with a gap. Recordings have no room that talks on, and stay ended.

What people ask for while the daemon ends goes before: nobody is told that a session is stopped, or paused, who may find
it hearing after the restart. Where the note cannot be changed so, all of it goes, and none of the sessions goes on.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from minuted_daemon.core.records import SessionId, SessionRecord, SessionState
from minuted_daemon.errors import NotFound, StoreError
from minuted_daemon.ports import Interruption, Interruptions, Store
from minuted_daemon.service.journal import Journal
from minuted_daemon.service.settings import is_file

LONGEST_S = 600.0
"""An upgrade, and a machine that starts again, take less. Who stops a daemon for longer means its sessions, too."""
KEEPING_LIMIT_S = 1.0
"""Of the time that the daemon has for its end."""
_GOING_ON = frozenset({SessionState.STARTING, SessionState.RUNNING, SessionState.PAUSED})
_ENDED_BY_US = frozenset({SessionState.STOPPING, SessionState.STOPPED})

log = structlog.get_logger()


class Interrupted:
    """One for the daemon."""

    def __init__(self, kept: Interruptions, store: Store, journal: Journal, now_s: Callable[[], float]) -> None:
        """`now_s` gives the wall time, seconds since 1970."""
        self._kept = kept
        self._store = store
        self._journal = journal
        self._now_s = now_s
        self._at_s = 0.0
        self._noted: dict[SessionId, bool] = {}
        """What is to be on disk: which sessions are to go on, and whether paused."""
        self._on_disk: dict[SessionId, bool] | None = {}
        """What is there; None where that is not known."""
        self._changing = asyncio.Lock()

    def __contains__(self, session_id: SessionId) -> bool:
        """Tell whether a session is to go on at the next start: it needs what else would be removed at its end."""
        return session_id in self._noted

    async def keep(self, sessions: Iterable[SessionRecord]) -> None:
        """Note, before they are ended, which sessions are to go on. What cannot be noted just ends."""
        # Nothing is awaited before: whoever stops one of them from now on finds it here.
        interrupted = {
            record.id: record.state is SessionState.PAUSED
            for record in sessions
            if record.state in _GOING_ON and not is_file(record.settings.device)
        }
        if not interrupted:
            return
        self._at_s = self._now_s()
        self._noted = interrupted | self._noted
        try:
            async with asyncio.timeout(KEEPING_LIMIT_S):
                await self._put_on_disk()
        except (StoreError, TimeoutError) as error:
            self._noted = {}
            log.warning("interruption_not_kept", error=type(error).__name__, sessions=len(interrupted))

    async def end(self, session_id: SessionId) -> None:
        """Have a session never go on, not even if the daemon dies now.

        Raises StoreError where that cannot be had: the session may go on.
        """
        self._noted.pop(session_id, None)
        await self._put_on_disk()

    async def pause(self, session_id: SessionId) -> bool:
        """Have a session go on paused, if at all; tell whether it is to go on. Raises StoreError as `end` does."""
        if session_id in self._noted:
            self._noted[session_id] = True
        await self._put_on_disk()
        return session_id in self._noted

    async def go_on(self, wanted: Callable[[SessionRecord], bool]) -> None:
        """Have those that were interrupted shortly before, and are `wanted`, stored as they were then.

        Raises StoreError where the store fails.
        """
        self._on_disk = None
        try:
            interruption = await self._kept.last()
        except StoreError as error:
            log.warning("interruption_not_read", reason=error.reason, detail=error.message)
        else:
            if interruption is None:
                self._on_disk = {}
                return
            await self._all_again(interruption, wanted)
        try:
            await self._put_on_disk()
        except StoreError as error:
            log.warning("interruption_not_forgotten", reason=error.reason)

    async def _put_on_disk(self) -> None:
        """Have on disk what is noted, or else nothing. Raises StoreError: what was there before may still be there."""
        async with self._changing:
            noted = dict(self._noted)
            if self._on_disk == noted:
                return
            self._on_disk = None
            try:
                if noted:
                    await self._kept.keep(Interruption(self._at_s, noted))
                    self._on_disk = noted
                    return
            except StoreError as error:
                log.warning("interruption_dropped", reason=error.reason, sessions=len(noted))
                self._noted = {}
            await self._forget()

    async def _forget(self) -> None:
        try:
            await self._kept.forget()
        except StoreError as error:
            warning = f"started again within {LONGEST_S / 60.0:.0f} minutes, it may go on with the session"
            message = f"the session ends, but the daemon cannot put that on disk: {warning} ({error.message})"
            raise StoreError(error.reason, message, **error.facts) from error
        self._on_disk = {}

    async def _all_again(self, interruption: Interruption, wanted: Callable[[SessionRecord], bool]) -> None:
        away_s = self._now_s() - interruption.at_s
        if away_s > LONGEST_S:
            log.info("interrupted_sessions_stay_ended", away_s=round(away_s), sessions=len(interruption.paused))
            return
        for session_id, paused in interruption.paused.items():
            await self._again(session_id, SessionState.PAUSED if paused else SessionState.RUNNING, wanted)

    async def _again(self, session_id: SessionId, state: SessionState, wanted: Callable[[SessionRecord], bool]) -> None:
        try:
            record = await self._store.session(session_id)
        except NotFound:
            return
        if record.state in _ENDED_BY_US and wanted(record):
            await self._journal.write([replace(record, state=state, ended_s=None)], record.name)
