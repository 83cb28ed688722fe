"""What the store knows of where a session stood, for one that goes on after a crash. Queries only."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from minuted_daemon.adapters.storage.queries.turns_and_sessions import read_session, read_speakers
from minuted_daemon.adapters.storage.schema import intervals, turn_revisions, turns, wall_points
from minuted_daemon.core.records import SessionId, TurnLife, WallPoint
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.store import ResumePoint


def read_wall_points(connection: Connection, session_id: SessionId) -> Sequence[WallPoint]:
    """Return a session's map from samples to wall time, by sample.

    Raises NotFound (SESSION_NOT_FOUND).
    """
    read_session(connection, session_id)
    query = select(wall_points).where(wall_points.c.session_id == session_id).order_by(wall_points.c.at)
    return [WallPoint(Sample(row.at), row.wall_s) for row in connection.execute(query)]


def read_resume_point(connection: Connection, session_id: SessionId) -> ResumePoint:
    """Return how far a session's stored things go.

    Raises NotFound (SESSION_NOT_FOUND).
    """
    record = read_session(connection, session_id)
    final = turns.c.life == TurnLife.FINAL.value
    latest = select(func.max(turns.c.end), func.max(turns.c.end).filter(final), func.max(turns.c.generation)).where(
        turns.c.session_id == session_id
    )
    ends, finals_end, generation = connection.execute(latest).one()
    earlier = (
        select(func.max(turn_revisions.c.end), func.max(turn_revisions.c.generation))
        .join(turns, turns.c.id == turn_revisions.c.turn_id)
        .where(turns.c.session_id == session_id, turns.c.revision > 0)
    )
    earlier_ends, earlier_generation = connection.execute(earlier).one()
    query = select(func.max(intervals.c.end)).where(intervals.c.session_id == session_id)
    intervals_end = connection.execute(query).scalar()
    generations = [number for number in (generation, earlier_generation) if number is not None]
    return ResumePoint(
        end=Sample(max(record.heard, ends or 0, earlier_ends or 0, intervals_end or 0)),
        turns_end=Sample(finals_end or 0),
        generation=max(generations, default=None),
        speakers=tuple(read_speakers(connection, session_id)),
    )
