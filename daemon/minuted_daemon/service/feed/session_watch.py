"""The live sessions as they change, for one who watches them: each told when it differs from what was told of it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import astuple, replace
from typing import Any

from minuted_daemon.core.records import LIVE_STATES, SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import NotFound
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.sessions import Sessions
from minuted_daemon.service.views import SessionView

POLL_S = 2.0
"""A watcher is told at once of what is announced, and this soon of what is not."""
PAGE = 1000


class SessionWatch:
    """One for each watcher."""

    def __init__(self, sessions: Sessions, hub: Hub) -> None:
        self._sessions = sessions
        self._hub = hub
        self._told: dict[SessionId, tuple[Any, ...]] = {}  # live sessions as last told

    async def changes(self) -> AsyncGenerator[SessionView, None]:
        """Return the live sessions, then every change of a session, also its end and its deletion; ends with the hub.

        A deleted session is told in state DELETED, as the last of it. A clock that moved on is no change.
        """
        async with aclosing(self._hub.touches(POLL_S)) as touches:
            first = True
            async for changed in touches:
                # Before anything is awaited: one that comes in between is told the next time, and only then.
                deletions = [self._hub.deletion(session_id) for session_id in sorted(changed)]
                views = await self._live() if first else await self._views(changed | self._told.keys())
                first = False
                for view in views:
                    if self._differs(view):
                        yield view
                for deletion in deletions:
                    if deletion is not None:
                        self._told.pop(deletion.id, None)
                        yield SessionView(deletion, None, deletion.heard)

    def _differs(self, view: SessionView) -> bool:
        essence = _essence(view)
        if self._told.get(view.record.id) == essence:
            return False
        if view.record.state in LIVE_STATES:
            self._told[view.record.id] = essence
        else:
            self._told.pop(view.record.id, None)
        return True

    async def _live(self) -> list[SessionView]:
        found: list[SessionView] = []
        token: str | None = None
        while len(found) < self._sessions.live_count():
            page = await self._sessions.list(PAGE, token)
            found += [view for view in page.items if view.record.state in LIVE_STATES]
            token = page.next_token
            if token is None:
                break
        return found

    async def _views(self, ids: frozenset[SessionId]) -> list[SessionView]:
        found = []
        for session_id in sorted(ids):
            try:
                found.append(await self._sessions.view(session_id))
            except NotFound:  # deleted meanwhile: that is told otherwise
                continue
        return found


def _essence(view: SessionView) -> tuple[Any, ...]:
    """Return what makes a session's change worth telling: all but its clocks, and of its links all that they say."""
    record = replace(view.record, heard=Sample(0), diarizer_sent=0, transcriber_sent=0)
    live = view.links is not None and record.state in LIVE_STATES
    return record, astuple(view.links) if live and view.links is not None else None
