"""Queries. Each runs in one read transaction and so sees one state of the database; none writes."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Table,
    bindparam,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from minuted_daemon.adapters.storage.queries.page_tokens import (
    owed_token,
    parse_owed_token,
    parse_sessions_token,
    parse_turns_token,
    sessions_token,
    turns_token,
)
from minuted_daemon.adapters.storage.row_mapping import (
    AnyRow,
    deletion_record,
    interval_record,
    session_record,
    speaker_record,
    turn_record,
)
from minuted_daemon.adapters.storage.schema import (
    deleted_sessions,
    intervals,
    sessions,
    speakers,
    store,
    turn_overlaps,
    turn_revisions,
    turns,
)
from minuted_daemon.core.events import TextSource
from minuted_daemon.core.records import (
    LIVE_STATES,
    IntervalRecord,
    OverlapRecord,
    Seq,
    SessionId,
    SessionRecord,
    SpeakerId,
    SpeakerRecord,
    StoredTurn,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.errors import NotFound
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import REDACTED, OwedTurn

Change = SessionRecord | SpeakerRecord | StoredTurn | IntervalRecord


def read_highest_seq(connection: Connection) -> Seq:
    """Return the last seq ever given out."""
    return Seq(connection.execute(select(store.c.highest_seq)).scalar_one())


def read_session(connection: Connection, key: str) -> SessionRecord:
    """Return a session by id, else the newest of that name.

    Raises NotFound (SESSION_NOT_FOUND).
    """
    by_name = select(sessions).where(sessions.c.name == key).order_by(sessions.c.created_seq.desc()).limit(1)
    for query in (select(sessions).where(sessions.c.id == key), by_name):
        row = connection.execute(query.where(_is_there(sessions.c.id))).first()
        if row is not None:
            return session_record(row)
    raise _no_session(key)


def read_sessions(connection: Connection, limit: int, token: str | None) -> Page[SessionRecord]:
    """Return a page of all sessions, newest first.

    Raises Invalid (BAD_PAGE_TOKEN).
    """
    query = select(sessions).where(_is_there(sessions.c.id)).order_by(sessions.c.created_seq.desc()).limit(limit + 1)
    if token is not None:
        query = query.where(sessions.c.created_seq < parse_sessions_token(token))
    rows = connection.execute(query).all()
    more = sessions_token(rows[limit - 1].created_seq) if len(rows) > limit else None
    return Page([session_record(row) for row in rows[:limit]], more)


def read_sessions_in_progress(connection: Connection) -> Sequence[SessionRecord]:
    """Return the sessions whose stored state is a live one, oldest first."""
    live = sessions.c.state.in_(sorted(state.value for state in LIVE_STATES))
    rows = connection.execute(select(sessions).where(live, _is_there(sessions.c.id)).order_by(sessions.c.created_seq))
    return [session_record(row) for row in rows]


def read_speakers(connection: Connection, session_id: SessionId) -> Sequence[SpeakerRecord]:
    """Return a session's speakers: S2 before S10."""
    query = select(speakers).where(speakers.c.session_id == session_id, _is_there(speakers.c.session_id))
    query = query.order_by(func.length(speakers.c.label), speakers.c.label)
    return [speaker_record(row) for row in connection.execute(query)]


def read_turns(
    connection: Connection,
    session_id: SessionId,
    limit: int,
    token: str | None,
    as_delivered: bool,
    exclude_suspect: bool = False,
) -> Page[StoredTurn]:
    """Return a page of a session's turns, by start, then id: the FINAL ones, or each as it was when it became FINAL.

    `exclude_suspect` leaves out those with a mark, or that had one then.

    Raises Invalid (BAD_PAGE_TOKEN).
    """
    # Negative numbers are no positions: before all turns.
    place = (-1, "") if token is None else parse_turns_token(token, session_id, as_delivered)
    if as_delivered:
        parts = union_all(*(_delivered(table, session_id, place) for table in (turns, turn_revisions))).subquery()
        query = select(parts).order_by(parts.c.start, parts.c.id)
        mark = parts.c.suspect
    else:
        query = select(turns).where(turns.c.session_id == session_id, turns.c.life == TurnLife.FINAL.value)
        query = query.where(_is_there(turns.c.session_id), _behind(turns.c.start, turns.c.id, place))
        query = query.order_by(turns.c.start, turns.c.id)
        mark = turns.c.suspect
    if exclude_suspect:
        query = query.where(mark.is_(None))
    rows = connection.execute(query.limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    more = None if last is None else turns_token(session_id, as_delivered, last.start, last.id)
    return Page(_stored_turns(connection, rows[:limit], as_delivered), more)


def read_owed_turns(connection: Connection, session_id: SessionId, limit: int, token: str | None) -> Page[OwedTurn]:
    """Return a page of a session's FINAL turns without text, by start, then id, each with its neighbours' edges.

    A turn that a redaction cut at one of its edges is not among them. Raises Invalid (BAD_PAGE_TOKEN).
    """
    place = (-1, "") if token is None else parse_owed_token(token, session_id)
    beside = or_(intervals.c.start == turns.c.end, intervals.c.end == turns.c.start)
    redacted = exists().where(intervals.c.session_id == turns.c.session_id, intervals.c.reason == REDACTED, beside)
    query = (
        select(turns, _edge(before=True).label("free_from"), _edge(before=False).label("free_to"))
        .where(turns.c.session_id == session_id, turns.c.life == TurnLife.FINAL.value)
        .where(turns.c.text_source != TextSource.COMPLETED.value, ~redacted)
        .where(_is_there(turns.c.session_id), _behind(turns.c.start, turns.c.id, place))
        .order_by(turns.c.start, turns.c.id)
        .limit(limit + 1)
    )
    rows = connection.execute(query).all()
    more = owed_token(session_id, rows[limit - 1].start, rows[limit - 1].id) if len(rows) > limit else None
    stored = _stored_turns(connection, rows[:limit])
    return Page([OwedTurn(one, row.free_from, row.free_to) for one, row in zip(stored, rows, strict=False)], more)


def _edge(before: bool) -> ScalarSelect[int | None]:
    """Choose the end of the FINAL turn before each turn, or the start of the one behind it."""
    other = turns.alias()
    own, place = tuple_(turns.c.start, turns.c.id), tuple_(other.c.start, other.c.id)
    of_session = (other.c.session_id == turns.c.session_id) & (other.c.life == TurnLife.FINAL.value)
    if before:
        query = select(other.c.end).where(of_session, place < own).order_by(other.c.start.desc(), other.c.id.desc())
    else:
        query = select(other.c.start).where(of_session, place > own).order_by(other.c.start, other.c.id)
    return query.limit(1).correlate(turns).scalar_subquery()


def _delivered(table: Table, session_id: SessionId, place: tuple[int, str]) -> Select[*tuple[object, ...]]:
    """Choose the turns at revision 0 from one of the two tables in which revisions are."""
    columns = [table.c[column.name] for column in turn_revisions.c if column.name != "turn_id"]
    query = select(turns.c.id, turns.c.session_id, *columns)
    if table is turn_revisions:
        query = query.join(turns, turns.c.id == turn_revisions.c.turn_id)
    return query.where(
        turns.c.session_id == session_id,
        _is_there(turns.c.session_id),
        table.c.revision == 0,
        table.c.life == TurnLife.FINAL.value,
        _behind(table.c.start, turns.c.id, place),
    )


def _behind(start: ColumnElement[int], turn_id: ColumnElement[str], place: tuple[int, str]) -> ColumnElement[bool]:
    return tuple_(start, turn_id) > tuple_(bindparam("after_start", place[0]), bindparam("after_id", place[1]))


def read_stored_turn(connection: Connection, turn: TurnRecord) -> StoredTurn:
    """Join a turn, stored or not, with its session's name and its speakers as they are now.

    Raises NotFound (SESSION_NOT_FOUND).
    """
    return _joined(connection, [turn])[0]


def read_changes(
    connection: Connection, after: Seq, up_to: Seq, session_id: SessionId | None, limit: int
) -> Sequence[Change]:
    """Return everything whose latest change has after < seq <= up_to, by seq, at most `limit` of it."""
    found: dict[str, Sequence[AnyRow]] = {}
    for table, owner in (
        (sessions, sessions.c.id),
        (speakers, speakers.c.session_id),
        (intervals, intervals.c.session_id),
        (turns, turns.c.session_id),
        (deleted_sessions, deleted_sessions.c.id),
    ):
        query = _changed(table, owner, after, up_to, session_id)
        found[table.name] = connection.execute(query.limit(limit)).all()
    # Only the first `limit` of all five are wanted, so only they are worth joining.
    wanted = sorted(row.seq for rows in found.values() for row in rows)[:limit]
    last = wanted[-1] if wanted else 0
    stored_turns = _stored_turns(connection, [row for row in found[turns.name] if row.seq <= last])
    changes: list[tuple[Seq, Change]] = [(item.turn.seq, item) for item in stored_turns]
    for name, record in (
        (sessions.name, session_record),
        (speakers.name, speaker_record),
        (intervals.name, interval_record),
        (deleted_sessions.name, deletion_record),
    ):
        changes += [(row.seq, record(row)) for row in found[name] if row.seq <= last]
    changes.sort(key=lambda change: change[0])
    return [item for _, item in changes]


def _changed(
    table: Table, owner: ColumnElement[str], after: Seq, up_to: Seq, session_id: SessionId | None
) -> Select[*tuple[object, ...]]:
    query = select(table).where(table.c.seq > after, table.c.seq <= up_to).order_by(table.c.seq)
    if table is not deleted_sessions:
        query = query.where(_is_there(owner))
    return query if session_id is None else query.where(owner == session_id)


def _is_there(session_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Keep out deleted sessions: their rows are hidden first, and taken out later."""
    return session_id.not_in(select(deleted_sessions.c.id))


def _listed(ids: Collection[str]) -> Select[str]:
    """Return the ids as a subquery: one statement, and so one prepared plan, for any number of them."""
    listed = func.json_each(json.dumps(sorted(ids))).table_valued("value")
    return select(listed.c.value)


def _stored_turns(connection: Connection, rows: Sequence[AnyRow], as_delivered: bool = False) -> Sequence[StoredTurn]:
    """Read rows of `turns`, or of turns at revision 0, with all that belongs to them."""
    overlaps: dict[str, list[OverlapRecord]] = {}
    revision = turn_overlaps.c.revision == (0 if as_delivered else turns.c.revision)
    query = (
        select(turn_overlaps.c.turn_id, turn_overlaps.c.speaker_id, turn_overlaps.c.duration)
        .join(turns, (turns.c.id == turn_overlaps.c.turn_id) & revision)
        .where(turn_overlaps.c.turn_id.in_(_listed({row.id for row in rows})))
        .order_by(turn_overlaps.c.turn_id, turn_overlaps.c.position)
    )
    for overlap in connection.execute(query):
        overlaps.setdefault(overlap.turn_id, []).append(OverlapRecord(SpeakerId(overlap.speaker_id), overlap.duration))
    return _joined(connection, [turn_record(row, tuple(overlaps.get(row.id, ()))) for row in rows])


def _joined(connection: Connection, records: Sequence[TurnRecord]) -> Sequence[StoredTurn]:
    """Put beside each turn its session's name and its speakers: the holder first, then who else spoke."""
    owners = {turn.session_id for turn in records}
    query = select(sessions.c.id, sessions.c.name).where(sessions.c.id.in_(_listed(owners)))
    names: dict[str, str] = {row.id: row.name for row in connection.execute(query)}
    for missing in owners - names.keys():
        raise _no_session(missing)
    cast = [(turn, dict.fromkeys(_speaker_ids(turn))) for turn in records]
    everybody = {speaker for _, ids in cast for speaker in ids}
    known: dict[str, SpeakerRecord] = {
        row.id: speaker_record(row)
        for row in connection.execute(select(speakers).where(speakers.c.id.in_(_listed(everybody))))
    }
    return [
        StoredTurn(turn, names[turn.session_id], tuple(known[speaker] for speaker in ids if speaker in known))
        for turn, ids in cast
    ]


def _speaker_ids(turn: TurnRecord) -> Sequence[SpeakerId]:
    held = () if turn.speaker_id is None else (turn.speaker_id,)
    return (*held, *(overlap.speaker_id for overlap in turn.overlapping))


def _no_session(key: str) -> NotFound:
    return NotFound("SESSION_NOT_FOUND", f"there is no session {key[:100]!r}", session=key[:100])
