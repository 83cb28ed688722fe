"""A session's end is stored before anybody is told of it: the next daemon goes on with what is live in the store."""

from dataclasses import replace

from minuted_daemon.core.records import LIVE_STATES, SessionId, SessionState
from minuted_daemon.errors import NotFound, StoreError
from minuted_daemon.ports.store import Store
from minuted_daemon.service.session.context import SharedServices


async def check_stored(store: Store, session_id: SessionId) -> None:
    """Raise StoreError if a session that has ended would be recorded on by the next daemon."""
    try:
        stored = await store.session(session_id)
    except NotFound:  # deleted meanwhile
        return
    if stored.state in LIVE_STATES - {SessionState.STOPPING}:
        message = f"the session {stored.name} has ended, but that could not be stored: stop it again, or it goes on"
        raise StoreError("STORE_FAILED", message, session=stored.name, session_id=stored.id)


async def store_end(around: SharedServices, session_id: SessionId) -> None:
    """Store the end of a session of which nothing but its record is live. Raises StoreError, NotFound."""
    stored = await around.store.session(session_id)
    if stored.state in LIVE_STATES:
        ended_s = around.now_s()
        await around.publisher.write([replace(stored, state=SessionState.STOPPED, ended_s=ended_s)], stored.name)
