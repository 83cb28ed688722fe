"""The tables, as the newest migration leaves them. No query belongs here, and nothing that touches a file.

Every change of a table here needs a migration beside it and a new HEAD; a test holds the two together. Wall times are
seconds since 1970, positions are samples at 16 kHz. `seq` stands in the row of the thing it numbers: a thing that
changes moves on to its newest seq, so that a reader in seq order meets each once, at its latest state.
"""

from collections.abc import Iterable
from enum import Enum

from sqlalchemy import (
    REAL,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import IntervalKind, SessionState, TurnLife

HEAD = "0007"
"""The migration these tables belong to."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: Iterable[Enum]) -> CheckConstraint:
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _stretch() -> CheckConstraint:
    return CheckConstraint('start >= 0 AND "end" >= start', name="stretch")


def _session_id() -> Column[str]:
    return Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False)


# Outside the sessions, so that a deleted session takes no number back with it. A backup's store_id is empty: it is
# given one when it is first opened.
store = Table(
    "store",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("highest_seq", Integer, nullable=False),
    CheckConstraint("one = 1", name="one"),
    sqlite_strict=True,
)

# created_seq is the seq a session was first stored with. It tells which session is newer even where the machine's clock
# was wrong, as it is on a machine that has just booted. interrupted_s tells when the daemon's own end interrupted the
# session, and was_paused what it was then; storing a session leaves both as they are.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("diarizer", Text, nullable=False),
    Column("transcriber", Text, nullable=False),
    Column("languages", Text, nullable=False),  # a JSON array
    Column("fallback", Text, nullable=False, server_default="none"),
    Column("keep_audio", Integer, nullable=False, server_default="0"),
    Column("channels", Text, nullable=False, server_default="[]"),  # a JSON array
    Column("mix", Text, nullable=False, server_default="best"),
    Column("state", Text, nullable=False),
    Column("created_s", REAL, nullable=False),
    Column("ended_s", REAL),
    Column("heard", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("diarizer_sent", Integer, nullable=False, server_default="0"),
    Column("transcriber_sent", Integer, nullable=False, server_default="0"),
    Column("created_seq", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("interrupted_s", REAL),
    Column("was_paused", Integer, nullable=False, server_default="0"),
    UniqueConstraint("created_seq"),
    UniqueConstraint("seq"),
    Index(None, "name", "created_seq"),
    _one_of("state", [state for state in SessionState if state is not SessionState.DELETED]),
    sqlite_strict=True,
)

# What is left of a deleted session, so that a subscriber whose cursor is older learns of it. Whatever else is still
# stored of such a session counts as gone, and is taken out bit by bit (deletion.py).
deleted_sessions = Table(
    "deleted_sessions",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_s", REAL, nullable=False),
    Column("seq", Integer, nullable=False),
    UniqueConstraint("seq"),
    sqlite_strict=True,
)

# What is to be erased and is not known to be gone: a whole session, whose id is the request's as well, or what was said
# in an interval. It outlives the session's own rows.
erasures = Table(
    "erasures",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("session_name", Text, nullable=False),
    Column("start", Integer),
    Column("end", Integer),
    Column("start_wall_s", REAL),
    UniqueConstraint("id"),
    sqlite_strict=True,
)

speakers = Table(
    "speakers",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    _session_id(),
    Column("label", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    UniqueConstraint("session_id", "label"),
    UniqueConstraint("seq"),
    Index(None, "session_id", "seq"),
    sqlite_strict=True,
)


def _turn_columns() -> list[Column[str] | Column[int] | Column[float] | CheckConstraint]:
    return [
        Column("start", Integer, nullable=False),
        Column("end", Integer, nullable=False),
        Column("speaker_id", Text, ForeignKey("speakers.id"), index=True),
        Column("attribution", Text, nullable=False),
        Column("text", Text, nullable=False),
        Column("text_source", Text, nullable=False),
        Column("life", Text, nullable=False),
        Column("start_wall_s", REAL, nullable=False),
        Column("generation", Integer),
        Column("latency_s", REAL),
        Column("seq", Integer, nullable=False),
        Column("suspect", Text),
        Column("spoken", Integer),
        Column("voiced", Integer),
        _stretch(),
        _one_of("attribution", Attribution),
        _one_of("text_source", TextSource),
        _one_of("life", (TurnLife.FINAL, TurnLife.RETRACTED)),
    ]


# Turns at their newest revision. `number` is the row's own id, and stays what it is when the file is compacted: it is
# there for an index over the words to point at.
turns = Table(
    "turns",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    _session_id(),
    Column("revision", Integer, nullable=False),
    *_turn_columns(),
    UniqueConstraint("id"),
    UniqueConstraint("seq"),
    Index(None, "session_id", "start", "id"),
    Index(None, "session_id", "seq"),
    sqlite_strict=True,
)

# What a turn was before its newest revision, each with the seq it had then.
turn_revisions = Table(
    "turn_revisions",
    metadata,
    Column("turn_id", Text, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),
    *_turn_columns(),
    PrimaryKeyConstraint("turn_id", "revision"),
    sqlite_strict=True,
)

# Who else spoke, for every revision of every turn; `position` keeps their order. `duration` is in samples.
turn_overlaps = Table(
    "turn_overlaps",
    metadata,
    Column("turn_id", Text, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("speaker_id", Text, ForeignKey("speakers.id"), nullable=False, index=True),
    Column("duration", Integer, nullable=False),
    PrimaryKeyConstraint("turn_id", "revision", "position"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

intervals = Table(
    "intervals",
    metadata,
    Column("id", Text, primary_key=True, nullable=False),
    _session_id(),
    Column("kind", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("start_wall_s", REAL, nullable=False),
    Column("reason", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    UniqueConstraint("seq"),
    Index(None, "session_id", "start"),
    Index(None, "session_id", "seq"),
    Index("ix_intervals_redacted", "session_id", "start", sqlite_where=text("reason = 'REDACTED'")),
    _stretch(),
    _one_of("kind", IntervalKind),
    sqlite_strict=True,
)

# The map from samples to wall time: at sample `at` the clock showed `wall_s`.
wall_points = Table(
    "wall_points",
    metadata,
    _session_id(),
    Column("at", Integer, nullable=False),
    Column("wall_s", REAL, nullable=False),
    PrimaryKeyConstraint("session_id", "at"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
