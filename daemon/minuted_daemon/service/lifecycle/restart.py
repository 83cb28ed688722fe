"""Sessions that ended because the daemon did: an upgrade or a restart in a meeting must not end its minutes.

They are stored as STOPPED like any other, because the daemon may not come back, and are marked in the store as
interrupted before that. If the daemon comes back soon, they go on, under the same ids, with a gap. Recordings have no
room that talks on, and stay ended.

A stop or pause requested while the daemon ends takes precedence: it is answered once the mark is changed in the store,
so that the session does not hear on after the restart.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from minuted_daemon.core.records import SessionId, SessionRecord, SessionState
from minuted_daemon.core.session_rules import is_file
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import Interruption, Store
from minuted_daemon.service.persistence.publisher import ChangePublisher

LONGEST_S = 600.0
"""An upgrade and a reboot take less. A daemon that is stopped for longer is meant to end its sessions, too."""
KEEPING_LIMIT_S = 1.0
"""Of the time that the daemon has for its end."""
_GOING_ON = frozenset({SessionState.STARTING, SessionState.RUNNING, SessionState.PAUSED})
_ENDED_BY_US = frozenset({SessionState.STOPPING, SessionState.STOPPED})

log = structlog.get_logger()


class RestartResume:
    """One for the daemon."""

    def __init__(self, store: Store, publisher: ChangePublisher, now_s: Callable[[], float]) -> None:
        """`now_s` gives the wall time, seconds since 1970."""
        self._store = store
        self._publisher = publisher
        self._now_s = now_s
        self._marks: dict[SessionId, Interruption | None] = {}
        """What the store holds, or is being told; None for a session whose mark was taken away again."""

    def __contains__(self, session_id: SessionId) -> bool:
        """Return whether a session may go on at the next start: it needs what else would be removed at its end."""
        return self._marks.get(session_id) is not None

    async def keep(self, sessions: Iterable[SessionRecord]) -> None:
        """Mark, before they are ended, the sessions that are to go on."""
        # Nothing is awaited before: a stop that is asked for from now on finds it here.
        at_s = self._now_s()
        interrupted: dict[SessionId, Interruption | None] = {
            record.id: Interruption(at_s, record.state is SessionState.PAUSED)
            for record in sessions
            if record.state in _GOING_ON and not is_file(record.settings.device) and record.id not in self._marks
        }
        if not interrupted:
            return
        self._marks |= interrupted
        try:
            async with asyncio.timeout(KEEPING_LIMIT_S):
                await self._store.write((), interrupted)
        except (StoreError, TimeoutError) as error:
            log.warning("interruption_not_stored", error=type(error).__name__, sessions=len(interrupted))

    async def end(self, session_id: SessionId) -> None:
        """Have a session never go on, not even if the daemon dies now.

        Raises StoreError where that cannot be had: the session may go on.
        """
        if session_id in self._marks:
            await self._put(session_id, None)

    async def pause(self, session_id: SessionId) -> bool:
        """Have a session go on paused, if at all; return whether it is to go on. Raises StoreError as `end` does."""
        mark = self._marks.get(session_id)
        if mark is not None:
            await self._put(session_id, replace(mark, paused=True))
        return session_id in self

    async def resume(self, wanted: Callable[[SessionRecord], bool]) -> None:
        """Have those that were interrupted shortly before, and are `wanted`, stored as they were then.

        No session is marked any more after that. Raises StoreError where the store fails.
        """
        for record, interruption in await self._store.interrupted():
            state = self._state_again(record, interruption, wanted)
            again = [] if state is None else [replace(record, state=state, ended_s=None)]
            await self._publisher.write(again, record.name, {record.id: None})

    async def _put(self, session_id: SessionId, mark: Interruption | None) -> None:
        # The store writes in the order of the calls: what is asked for last counts.
        self._marks[session_id] = mark
        try:
            await self._store.write((), {session_id: mark})
        except StoreError as error:
            warning = f"started again within {LONGEST_S / 60.0:.0f} minutes, it may go on with the session"
            message = f"the session ends, but the daemon cannot put that on disk: {warning} ({error.message})"
            raise StoreError(error.reason, message, **error.facts) from error

    def _state_again(
        self, record: SessionRecord, interruption: Interruption, wanted: Callable[[SessionRecord], bool]
    ) -> SessionState | None:
        """Return what a marked session is to be, None where it is left as it is stored."""
        if record.state in _GOING_ON:  # the daemon died before it had stored any more, and it goes on by itself
            return SessionState.PAUSED if interruption.paused else None
        away_s = self._now_s() - interruption.at_s
        if away_s > LONGEST_S:
            log.info("interrupted_session_not_resumed", session_id=record.id, away_s=round(away_s))
            return None
        if record.state in _ENDED_BY_US and wanted(record):
            return SessionState.PAUSED if interruption.paused else SessionState.RUNNING
        return None
