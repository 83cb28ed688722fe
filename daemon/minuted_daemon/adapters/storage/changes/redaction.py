"""Takes what was said in a stretch out of a session's turns, for good. Runs within a transaction of the writer.

That no trace of it stays in the files is the task of scrub.py.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, or_, select

from minuted_daemon.adapters.storage.changes.erasures import keep_request
from minuted_daemon.adapters.storage.changes.transactions import Transaction
from minuted_daemon.adapters.storage.queries.turns_and_sessions import read_session
from minuted_daemon.adapters.storage.row_mapping import turn_record
from minuted_daemon.adapters.storage.schema import intervals, turn_overlaps, turn_revisions, turns
from minuted_daemon.core.records import IntervalRecord, Record, TurnLife
from minuted_daemon.core.redaction import redacted
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.ports.store import ErasureRequest

_FORGET_REVISION, _FORGET_OVERLAPS = (
    delete(table).where(table.c.turn_id == bindparam("of"), table.c.revision == bindparam("at_revision"))
    for table in (turn_revisions, turn_overlaps)
)


def redact(transaction: Transaction, interval: IntervalRecord, limit: int) -> Sequence[Record]:
    """Store the interval, unless it is, and redact at most `limit` of the turns it touches; return what was stored.

    From the first call on no turn that touches the interval is stored with words (transactions.py), and the request to
    erase it is kept. Further calls with the same interval take further turns; one that returns nothing found none left.
    Raises NotFound (SESSION_NOT_FOUND).
    """
    connection = transaction.connection
    session = read_session(connection, interval.session_id)
    known = connection.execute(select(intervals.c.start, intervals.c.end).where(intervals.c.id == interval.id)).first()
    stored: list[Record] = []
    if known is None:
        interval = _widened(connection, interval)
        _forget_earlier_revisions(connection, interval)
        keep_request(connection, ErasureRequest(session.id, session.name, interval))
        stored.append(transaction.put(interval))
    else:
        interval = replace(interval, start=Sample(known.start), end=Sample(known.end))
    holds_words = or_(turns.c.life == TurnLife.FINAL.value, turns.c.text != "")
    query = select(turns).where(turns.c.session_id == interval.session_id, _touches(turns, interval), holds_words)
    for row in connection.execute(query.order_by(turns.c.start, turns.c.id).limit(limit)).all():
        turn = redacted(turn_record(row, ()), interval.start, interval.end)
        stored.append(transaction.overwrite(turn))
    return stored


def _widened(connection: Connection, interval: IntervalRecord) -> IntervalRecord:
    """Let the interval take in the shorter end of a turn that sticks out of it on both sides: it keeps but one."""
    final = turns.c.life == TurnLife.FINAL.value
    while True:
        around = (turns.c.start < interval.start) & (turns.c.end > interval.end) & final
        query = select(turns.c.start, turns.c.end).where(turns.c.session_id == interval.session_id, around)
        row = connection.execute(query.order_by(turns.c.start, turns.c.id).limit(1)).first()
        if row is None:
            return interval
        before = interval.start - row.start
        if before >= row.end - interval.end:
            interval = replace(interval, end=Sample(row.end))
        else:
            start_wall_s = interval.start_wall_s - seconds(before)
            interval = replace(interval, start=Sample(row.start), start_wall_s=start_wall_s)


def _forget_earlier_revisions(connection: Connection, interval: IntervalRecord) -> None:
    """Take out what turns were that once touched the interval, also of turns that have moved away from it since."""
    query = (
        select(turn_revisions.c.turn_id, turn_revisions.c.revision)
        .join(turns, turns.c.id == turn_revisions.c.turn_id)
        .where(turns.c.session_id == interval.session_id, turns.c.revision > 0, _touches(turn_revisions, interval))
    )
    gone = [{"of": row.turn_id, "at_revision": row.revision} for row in connection.execute(query)]
    if gone:
        connection.execute(_FORGET_REVISION, gone)
        connection.execute(_FORGET_OVERLAPS, gone)


def _touches(table: Table, interval: IntervalRecord) -> ColumnElement[bool]:
    return (table.c.start < interval.end) & (table.c.end > interval.start)
