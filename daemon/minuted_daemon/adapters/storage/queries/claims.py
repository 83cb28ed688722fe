"""What the store knows of what became of a session's audio, as claims. Queries only; core/coverage.py adds them up."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    bindparam,
    case,
    exists,
    literal,
    null,
    or_,
    select,
    tuple_,
    union_all,
)

from minuted_daemon.adapters.storage.queries.page_tokens import claims_token, parse_claims_token
from minuted_daemon.adapters.storage.queries.turns_and_sessions import read_session
from minuted_daemon.adapters.storage.row_mapping import AnyRow
from minuted_daemon.adapters.storage.schema import intervals, turns
from minuted_daemon.core.coverage import NO_TEXT, Claim, interval_claim, turn_claim
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import IntervalKind, SessionId, TurnLife
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import REDACTED


def read_claims(connection: Connection, session_id: SessionId, limit: int, token: str | None) -> Page[Claim]:
    """Return a page of what a session's FINAL turns and its intervals claim, by start.

    Raises NotFound (SESSION_NOT_FOUND), Invalid (BAD_PAGE_TOKEN).
    """
    transcribed = read_session(connection, session_id).settings.transcriber != "none"
    # Negative numbers are no positions: before all claims.
    start, thing_id = (-1, "") if token is None else parse_claims_token(token, session_id)
    values = {"of": session_id, "after_start": start, "after_id": thing_id, "most": limit + 1}
    rows: Sequence[AnyRow] = connection.execute(_CLAIMS, values).all()
    last = rows[limit - 1] if len(rows) > limit else None
    more = None if last is None else claims_token(session_id, last.start, last.id)
    return Page([_claim(row, transcribed) for row in rows[:limit]], more)


def _claim(row: AnyRow, transcribed: bool) -> Claim:
    start, _, end, kind, reason, source = row
    if kind is not None:
        return interval_claim(Sample(start), Sample(end), IntervalKind(kind), reason)
    return turn_claim(Sample(start), Sample(end), TextSource(source), transcribed, reason)


def _claims() -> CompoundSelect[Any]:
    """By start, and each table by its own index: no page sorts the whole session."""
    place = tuple_(bindparam("after_start"), bindparam("after_id"))
    # A redaction cuts the turns that reach into it at its edges.
    beside = or_(intervals.c.start == turns.c.end, intervals.c.end == turns.c.start)
    redacted = exists().where(intervals.c.session_id == turns.c.session_id, intervals.c.reason == REDACTED, beside)
    why = case(
        (turns.c.text_source == TextSource.COMPLETED.value, ""),
        (redacted, REDACTED),
        else_=NO_TEXT,
    )
    of_turns = select(
        turns.c.start, turns.c.id, turns.c.end, null().label("kind"), why.label("reason"), turns.c.text_source
    ).where(
        turns.c.session_id == bindparam("of"),
        turns.c.life == TurnLife.FINAL.value,
        tuple_(turns.c.start, turns.c.id) > place,
    )
    of_intervals = select(
        intervals.c.start, intervals.c.id, intervals.c.end, intervals.c.kind, intervals.c.reason, literal("")
    ).where(intervals.c.session_id == bindparam("of"), tuple_(intervals.c.start, intervals.c.id) > place)
    return union_all(of_turns, of_intervals).order_by("start", "id").limit(bindparam("most"))


_CLAIMS = _claims()
