"""Which sessions the daemon's own end has interrupted: two columns of `sessions` that storing one leaves alone."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, update

from minuted_daemon.adapters.storage.row_mapping import session_record
from minuted_daemon.adapters.storage.schema import deleted_sessions, sessions
from minuted_daemon.core.records import SessionId, SessionRecord
from minuted_daemon.ports.store import Interruption

_MARK = (
    update(sessions)
    .where(sessions.c.id == bindparam("of"))
    .values(interrupted_s=bindparam("at_s"), was_paused=bindparam("paused"))
)
_MARKED = (
    select(sessions)
    .where(sessions.c.interrupted_s.is_not(None), sessions.c.id.not_in(select(deleted_sessions.c.id)))
    .order_by(sessions.c.created_seq)
)


def mark(connection: Connection, interruptions: Mapping[SessionId, Interruption | None]) -> None:
    """Mark sessions as interrupted, or (None) as no longer so. A session that is not stored is passed over."""
    for session_id, interruption in interruptions.items():
        at_s, paused = (None, False) if interruption is None else (interruption.at_s, interruption.paused)
        connection.execute(_MARK, {"of": session_id, "at_s": at_s, "paused": int(paused)})


def read_interrupted(connection: Connection) -> Sequence[tuple[SessionRecord, Interruption]]:
    """Return the sessions that are marked, oldest first."""
    return [
        (session_record(row), Interruption(row.interrupted_s, bool(row.was_paused)))
        for row in connection.execute(_MARKED)
    ]
