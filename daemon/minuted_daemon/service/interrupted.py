"""Sessions that ended because the daemon did: an upgrade or a restart in a meeting must not end its minutes.

They are stored as STOPPED like any other, because the daemon may not come back. If it does soon, they go on, under the
same ids, with a gap. Recordings have no room that talks on, and stay ended.
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
        self._interrupted: frozenset[SessionId] = frozenset()

    def __contains__(self, session_id: SessionId) -> bool:
        """Tell whether a session is to go on at the next start: it needs what else would be removed at its end."""
        return session_id in self._interrupted

    async def keep(self, sessions: Iterable[SessionRecord]) -> None:
        """Note, before they are ended, which sessions are to go on. What cannot be noted just ends."""
        paused = {
            record.id: record.state is SessionState.PAUSED
            for record in sessions
            if record.state in _GOING_ON and not is_file(record.settings.device)
        }
        if not paused:
            return
        try:
            async with asyncio.timeout(KEEPING_LIMIT_S):
                await self._kept.keep(Interruption(self._now_s(), paused))
        except (StoreError, TimeoutError) as error:
            log.warning("interruption_not_kept", error=type(error).__name__, sessions=len(paused))
        else:
            self._interrupted = frozenset(paused)

    async def go_on(self, wanted: Callable[[SessionRecord], bool]) -> None:
        """Have those that were interrupted shortly before, and are `wanted`, stored as they were then.

        Raises StoreError where the store fails.
        """
        try:
            interruption = await self._kept.last()
        except StoreError as error:
            log.warning("interruption_not_read", reason=error.reason, detail=error.message)
            return
        if interruption is None:
            return
        away_s = self._now_s() - interruption.at_s
        if away_s <= LONGEST_S:
            for session_id, paused in interruption.paused.items():
                await self._again(session_id, SessionState.PAUSED if paused else SessionState.RUNNING, wanted)
        else:
            log.info("interrupted_sessions_stay_ended", away_s=round(away_s), sessions=len(interruption.paused))
        try:
            await self._kept.forget()
        except StoreError as error:
            log.warning("interruption_not_forgotten", reason=error.reason)

    async def _again(self, session_id: SessionId, state: SessionState, wanted: Callable[[SessionRecord], bool]) -> None:
        try:
            record = await self._store.session(session_id)
        except NotFound:
            return
        if record.state in _ENDED_BY_US and wanted(record):
            await self._journal.write([replace(record, state=state, ended_s=None)], record.name)
