"""Writes, and how many of them become one commit. The only file that gives out a seq."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, delete, literal_column, select, update
from sqlalchemy.dialects.sqlite import Insert, insert

from minuted_daemon.adapters.storage import schema
from minuted_daemon.adapters.storage.faults import FAULTS, as_store_error
from minuted_daemon.adapters.storage.row_mapping import (
    interval_values,
    overlap_values,
    session_values,
    speaker_values,
    turn_values,
)
from minuted_daemon.core.records import (
    IntervalRecord,
    Record,
    Seq,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.redaction import redacted
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import REDACTED


def _upsert(table: Table, *keep: str) -> Insert:
    """Insert a row, or where its key exists replace everything but the key and `keep`."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in (*keys, *keep)}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


_HIGHEST = select(schema.store.c.highest_seq)
_RAISE_HIGHEST = update(schema.store).values(highest_seq=bindparam("highest"))
_PUT_SESSION = _upsert(schema.sessions, "created_seq", "interrupted_s", "was_paused")
_PUT_SPEAKER = _upsert(schema.speakers, "session_id")
_PUT_INTERVAL = _upsert(schema.intervals, "session_id")
_PUT_WALL_POINT = _upsert(schema.wall_points)
_REVISION = select(schema.turns.c.revision).where(schema.turns.c.id == bindparam("turn_id"))
_KEPT = [column.name for column in schema.turn_revisions.columns if column.name != "turn_id"]
_KEEP_REVISION = insert(schema.turn_revisions).from_select(
    ["turn_id", *_KEPT],
    select(schema.turns.c.id, *(schema.turns.c[name] for name in _KEPT)).where(
        schema.turns.c.id == bindparam("turn_id")
    ),
)
_NEW_TURN = insert(schema.turns)
_REPLACE_TURN = (
    update(schema.turns)
    .where(schema.turns.c.id == bindparam("turn_id"))
    .values({name: bindparam(name) for name in _KEPT})
)
_UNCHANGED_TURN = select(schema.turns.c.id).where(
    schema.turns.c.id == bindparam("of"),
    schema.turns.c.seq == bindparam("as_read"),
    schema.turns.c.session_id.not_in(select(schema.deleted_sessions.c.id)),
)
_UNCHANGED_SESSION = select(schema.sessions.c.id).where(
    schema.sessions.c.id == bindparam("of"),
    schema.sessions.c.seq == bindparam("as_read"),
    schema.sessions.c.id.not_in(select(schema.deleted_sessions.c.id)),
)
_ADD_OVERLAPS = insert(schema.turn_overlaps)
_FORGET_REVISIONS, _FORGET_OVERLAPS = (
    delete(table).where(table.c.turn_id == bindparam("of")) for table in (schema.turn_revisions, schema.turn_overlaps)
)
# The reason stands in the statement itself, so that SQLite uses the index over these intervals alone.
_REDACTED = (
    select(schema.intervals.c.start, schema.intervals.c.end)
    .where(schema.intervals.c.session_id == bindparam("of"), schema.intervals.c.start < bindparam("before"))
    .where(schema.intervals.c.end > bindparam("after"), schema.intervals.c.reason == literal_column(f"'{REDACTED}'"))
    .order_by(schema.intervals.c.start)
)


class Transaction:
    """One transaction under way; `seq` is the last one given out in it or before it."""

    def __init__(self, connection: Connection, seq: int) -> None:
        self.connection = connection
        self.seq = seq

    def next_seq(self) -> Seq:
        """Return out a seq, for something to be stored in this transaction."""
        self.seq += 1
        return Seq(self.seq)

    def put(self, record: Record) -> Record:
        """Store a record under the next seq and return it so; a turn without what was redacted of it."""
        stored = replace(record, seq=self.next_seq())
        match stored:
            case TurnRecord():
                return self._put_turn(stored)
            case SessionRecord():
                self.connection.execute(_PUT_SESSION, {**session_values(stored), "created_seq": stored.seq})
            case SpeakerRecord():
                self.connection.execute(_PUT_SPEAKER, speaker_values(stored))
            case IntervalRecord():
                self.connection.execute(_PUT_INTERVAL, interval_values(stored))
        return stored

    def revise(self, record: TurnRecord | SessionRecord) -> Sequence[Record]:
        """Store a changed record, unless it was stored or deleted since it was read; return what was stored."""
        unchanged = _UNCHANGED_TURN if isinstance(record, TurnRecord) else _UNCHANGED_SESSION
        if self.connection.execute(unchanged, {"of": record.id, "as_read": record.seq}).first() is None:
            return ()
        return (self.put(record),)

    def put_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        """Store points of a session's map; a point at the same sample is replaced."""
        rows = [{"session_id": session_id, "at": point.at, "wall_s": point.wall_s} for point in points]
        self.connection.execute(_PUT_WALL_POINT, rows)

    def overwrite(self, turn: TurnRecord) -> TurnRecord:
        """Store a turn under the next seq in the place of all its revisions; nothing is kept of what it was."""
        turn = replace(turn, seq=self.next_seq(), revision=turn.revision + 1)
        for forget in (_FORGET_REVISIONS, _FORGET_OVERLAPS):
            self.connection.execute(forget, {"of": turn.id})
        self._replace(turn)
        return turn

    def _put_turn(self, turn: TurnRecord) -> TurnRecord:
        # Words that come late must not bring back what was redacted meanwhile.
        stretch = {"of": turn.session_id, "before": turn.end, "after": turn.start}
        for row in self.connection.execute(_REDACTED, stretch):
            turn = redacted(turn, Sample(row.start), Sample(row.end))
        newest = self.connection.execute(_REVISION, {"turn_id": turn.id}).scalar()
        if newest is None:
            turn = replace(turn, revision=0)
            self.connection.execute(_NEW_TURN, turn_values(turn))
        else:
            turn = replace(turn, revision=newest + 1)
            self.connection.execute(_KEEP_REVISION, {"turn_id": turn.id})
            self._replace(turn)
        if turn.overlapping:
            self.connection.execute(_ADD_OVERLAPS, overlap_values(turn))
        return turn

    def _replace(self, turn: TurnRecord) -> None:
        values = turn_values(turn)
        self.connection.execute(_REPLACE_TURN, {"turn_id": turn.id, **{name: values[name] for name in _KEPT}})


Write = Callable[[Transaction], Any]
"""Something to be written. It may be run again in a new transaction, so it changes nothing else."""


@dataclass(frozen=True, slots=True)
class Exclusive:
    """Something that must run between transactions. It is given the engine that writes."""

    act: Callable[[Engine], Any]


class GroupCommit:
    """Writes in the order they are given, as many as are there in one commit: one wait for the disk serves them all."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    def handle(self, requests: Sequence[Write | Exclusive]) -> Sequence[Any]:
        """Return for each write its result, or the exception for which nothing of it was stored."""
        outcomes: list[Any] = []
        writes: list[Write] = []
        for request in requests:
            if isinstance(request, Exclusive):
                outcomes += [*self._together(writes), self._exclusive(request)]
                writes = []
            else:
                writes.append(request)
        return [*outcomes, *self._together(writes)]

    def finish(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _exclusive(self, request: Exclusive) -> Any:
        try:
            return request.act(self._engine)
        except Exception as fault:  # noqa: BLE001 - it belongs to its caller
            return self._error(fault)

    def _together(self, writes: Sequence[Write]) -> Sequence[Any]:
        if not writes:
            return ()
        try:
            return self._commit(writes)
        except Exception as fault:  # noqa: BLE001 - even a bug in one write must not cost the others
            failed = self._error(fault)
        if len(writes) == 1 or _is_locked(failed):
            return [failed] * len(writes)
        outcomes: list[Any] = []
        for write in writes:
            # Another program's lock is waited for once, not once for each write.
            outcomes += [outcomes[-1]] if outcomes and _is_locked(outcomes[-1]) else self._together([write])
        return outcomes

    def _commit(self, writes: Sequence[Write]) -> Sequence[Any]:
        with self._engine.begin() as connection:
            # Read each time: what a failed commit gave out was never given out.
            before = connection.execute(_HIGHEST).scalar_one()
            transaction = Transaction(connection, before)
            outcomes = [write(transaction) for write in writes]
            if transaction.seq != before:
                connection.execute(_RAISE_HIGHEST, {"highest": transaction.seq})
        return outcomes

    def _error(self, fault: Exception) -> Exception:
        if not isinstance(fault, FAULTS):
            return fault
        error = as_store_error(fault, self._path)
        error.__cause__ = fault
        return error


def _is_locked(outcome: object) -> bool:
    return isinstance(outcome, StoreError) and outcome.reason == "DATABASE_LOCKED"
