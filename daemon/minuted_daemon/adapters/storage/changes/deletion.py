"""Deletes sessions: at once for all readers, and then portion by portion from the tables.

A day's session may have tens of thousands of turns, and other writes must not wait for all of them. So a session is
deleted by a row in `deleted_sessions`, which hides it, and purged after that.
"""

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, tuple_

from minuted_daemon.adapters.storage.changes.erasures import keep_request
from minuted_daemon.adapters.storage.changes.transactions import Transaction
from minuted_daemon.adapters.storage.queries.turns_and_sessions import read_session
from minuted_daemon.adapters.storage.row_mapping import deletion_record
from minuted_daemon.adapters.storage.schema import deleted_sessions, intervals, sessions, turns, wall_points
from minuted_daemon.core.records import LIVE_STATES, SessionId, SessionRecord
from minuted_daemon.errors import WrongState
from minuted_daemon.ports.store import ErasureRequest

_HIDE = insert(deleted_sessions).returning(deleted_sessions)
_HIDDEN = select(sessions.c.id).where(sessions.c.id.in_(select(deleted_sessions.c.id))).limit(1)
_REMOVE = delete(sessions).where(sessions.c.id == bindparam("gone"))


def mark_deleted(transaction: Transaction, session_id: SessionId) -> SessionRecord:
    """Delete a session as far as any reader can tell, and return its record in state DELETED.

    The request to erase it is kept with that.

    Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_LIVE).
    """
    record = read_session(transaction.connection, session_id)
    if record.state in LIVE_STATES:
        message = f"the session {record.name} is live: stop it first"
        raise WrongState("SESSION_LIVE", message, session=record.name, session_id=record.id)
    values = {"id": record.id, "name": record.name, "created_s": record.created_s, "seq": transaction.next_seq()}
    keep_request(transaction.connection, ErasureRequest(record.id, record.name))
    return deletion_record(transaction.connection.execute(_HIDE, values).one())


def purge(transaction: Transaction, limit: int) -> bool:
    """Delete at most `limit` rows of a deleted session; return False once nothing is left of any.

    Revisions and overlaps go with their turns.
    """
    connection = transaction.connection
    gone = connection.execute(_HIDDEN).scalar()
    if gone is None:
        return False
    for table in (turns, intervals, wall_points):
        if _remove(connection, table, gone, limit) == limit:
            return True
    connection.execute(_REMOVE, {"gone": gone})
    return True


def _remove(connection: Connection, table: Table, session_id: str, limit: int) -> int:
    keys = tuple(table.primary_key.columns)
    some = select(*keys).where(table.c.session_id == bindparam("gone")).limit(bindparam("most"))
    removal = delete(table).where(tuple_(*keys).in_(some))
    return connection.execute(removal, {"gone": session_id, "most": limit}).rowcount
