"""The table of what is to be erased and is not known to be gone. A request stands in it until its last trace is gone.

A request is kept in the transaction that hides what it is about from all readers, so that no crash can separate the
two. The table holds ids, names of sessions and positions, and nothing that was said.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from minuted_daemon.adapters.storage.row_mapping import AnyRow
from minuted_daemon.adapters.storage.schema import erasures, intervals
from minuted_daemon.core.records import IntervalId, IntervalKind, IntervalRecord, SessionId
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.store import REDACTED, ErasureRequest

_KEEP = insert(erasures).on_conflict_do_nothing(index_elements=["id"])
# An interval may have taken in more than was asked for when it was stored, which older versions did not note.
_PENDING = (
    select(
        erasures.c.id,
        erasures.c.session_id,
        erasures.c.session_name,
        *(func.coalesce(intervals.c[name], erasures.c[name]).label(name) for name in ("start", "end", "start_wall_s")),
    )
    .outerjoin(intervals, intervals.c.id == erasures.c.id)
    .order_by(erasures.c.number)
)
_DONE = delete(erasures).where(erasures.c.id == bindparam("of"))


def keep_request(connection: Connection, request: ErasureRequest) -> None:
    """Keep a request; one that is kept already stays as it is."""
    interval = request.interval
    values: dict[str, str | int | float] = {
        "id": _id(request),
        "session_id": request.session_id,
        "session_name": request.session_name,
    }
    if interval is not None:
        values |= {"start": interval.start, "end": interval.end, "start_wall_s": interval.start_wall_s}
    connection.execute(_KEEP, values)


def read_requests(connection: Connection) -> Sequence[ErasureRequest]:
    """Return the requests that are kept, oldest first."""
    return [_request(row) for row in connection.execute(_PENDING)]


def drop_request(connection: Connection, request: ErasureRequest) -> None:
    """Keep a request no longer."""
    connection.execute(_DONE, {"of": _id(request)})


def _id(request: ErasureRequest) -> str:
    return request.session_id if request.interval is None else request.interval.id


def _request(row: AnyRow) -> ErasureRequest:
    session_id = SessionId(row.session_id)
    if row.start is None:
        return ErasureRequest(session_id, row.session_name)
    stretch = Sample(row.start), Sample(row.end)
    interval = IntervalRecord(
        IntervalId(row.id), session_id, IntervalKind.MUTED, *stretch, row.start_wall_s, reason=REDACTED
    )
    return ErasureRequest(session_id, row.session_name, interval)
