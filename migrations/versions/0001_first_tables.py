"""First tables.

Revision: 0001. Follows nothing. What each table is for stands in daemon/minuted_daemon/adapters/storage/schema.py.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE store (
        one INTEGER NOT NULL,
        store_id TEXT NOT NULL,
        highest_seq INTEGER NOT NULL,
        CONSTRAINT pk_store PRIMARY KEY (one),
        CONSTRAINT ck_store_one CHECK (one = 1)
    ) STRICT
    """,
    """
    CREATE TABLE sessions (
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        device TEXT NOT NULL,
        diarizer TEXT NOT NULL,
        transcriber TEXT NOT NULL,
        languages TEXT NOT NULL,
        state TEXT NOT NULL,
        created_s REAL NOT NULL,
        ended_s REAL,
        heard INTEGER NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        created_seq INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        CONSTRAINT pk_sessions PRIMARY KEY (id),
        CONSTRAINT uq_sessions_created_seq UNIQUE (created_seq),
        CONSTRAINT uq_sessions_seq UNIQUE (seq),
        CONSTRAINT ck_sessions_state
            CHECK (state IN ('starting', 'running', 'paused', 'stopping', 'stopped', 'failed'))
    ) STRICT
    """,
    """
    CREATE TABLE speakers (
        id TEXT NOT NULL,
        session_id TEXT NOT NULL,
        label TEXT NOT NULL,
        display_name TEXT NOT NULL,
        seq INTEGER NOT NULL,
        CONSTRAINT pk_speakers PRIMARY KEY (id),
        CONSTRAINT fk_speakers_session_id FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE,
        CONSTRAINT uq_speakers_session_id_label UNIQUE (session_id, label),
        CONSTRAINT uq_speakers_seq UNIQUE (seq)
    ) STRICT
    """,
    """
    CREATE TABLE turns (
        number INTEGER NOT NULL,
        id TEXT NOT NULL,
        session_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        speaker_id TEXT,
        attribution TEXT NOT NULL,
        text TEXT NOT NULL,
        text_source TEXT NOT NULL,
        life TEXT NOT NULL,
        start_wall_s REAL NOT NULL,
        generation INTEGER,
        latency_s REAL,
        seq INTEGER NOT NULL,
        CONSTRAINT pk_turns PRIMARY KEY (number),
        CONSTRAINT fk_turns_session_id FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE,
        CONSTRAINT fk_turns_speaker_id FOREIGN KEY (speaker_id) REFERENCES speakers (id),
        CONSTRAINT uq_turns_id UNIQUE (id),
        CONSTRAINT uq_turns_seq UNIQUE (seq),
        CONSTRAINT ck_turns_stretch CHECK (start >= 0 AND "end" >= start),
        CONSTRAINT ck_turns_attribution CHECK (attribution IN ('diarized', 'inferred', 'unknown')),
        CONSTRAINT ck_turns_text_source CHECK (text_source IN ('completed', 'provisional', 'none')),
        CONSTRAINT ck_turns_life CHECK (life IN ('final', 'retracted'))
    ) STRICT
    """,
    """
    CREATE TABLE turn_revisions (
        turn_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        speaker_id TEXT,
        attribution TEXT NOT NULL,
        text TEXT NOT NULL,
        text_source TEXT NOT NULL,
        life TEXT NOT NULL,
        start_wall_s REAL NOT NULL,
        generation INTEGER,
        latency_s REAL,
        seq INTEGER NOT NULL,
        CONSTRAINT pk_turn_revisions PRIMARY KEY (turn_id, revision),
        CONSTRAINT fk_turn_revisions_turn_id FOREIGN KEY (turn_id) REFERENCES turns (id) ON DELETE CASCADE,
        CONSTRAINT fk_turn_revisions_speaker_id FOREIGN KEY (speaker_id) REFERENCES speakers (id),
        CONSTRAINT ck_turn_revisions_stretch CHECK (start >= 0 AND "end" >= start),
        CONSTRAINT ck_turn_revisions_attribution CHECK (attribution IN ('diarized', 'inferred', 'unknown')),
        CONSTRAINT ck_turn_revisions_text_source CHECK (text_source IN ('completed', 'provisional', 'none')),
        CONSTRAINT ck_turn_revisions_life CHECK (life IN ('final', 'retracted'))
    ) STRICT
    """,
    """
    CREATE TABLE turn_overlaps (
        turn_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        speaker_id TEXT NOT NULL,
        duration INTEGER NOT NULL,
        CONSTRAINT pk_turn_overlaps PRIMARY KEY (turn_id, revision, position),
        CONSTRAINT fk_turn_overlaps_turn_id FOREIGN KEY (turn_id) REFERENCES turns (id) ON DELETE CASCADE,
        CONSTRAINT fk_turn_overlaps_speaker_id FOREIGN KEY (speaker_id) REFERENCES speakers (id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE intervals (
        id TEXT NOT NULL,
        session_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        start_wall_s REAL NOT NULL,
        reason TEXT NOT NULL,
        seq INTEGER NOT NULL,
        CONSTRAINT pk_intervals PRIMARY KEY (id),
        CONSTRAINT fk_intervals_session_id FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE,
        CONSTRAINT uq_intervals_seq UNIQUE (seq),
        CONSTRAINT ck_intervals_stretch CHECK (start >= 0 AND "end" >= start),
        CONSTRAINT ck_intervals_kind CHECK (kind IN ('gap', 'muted', 'lost'))
    ) STRICT
    """,
    """
    CREATE TABLE wall_points (
        session_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        wall_s REAL NOT NULL,
        CONSTRAINT pk_wall_points PRIMARY KEY (session_id, at),
        CONSTRAINT fk_wall_points_session_id FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
    ) WITHOUT ROWID, STRICT
    """,
)
INDEXES = (
    ("sessions", ["name", "created_seq"]),
    ("speakers", ["session_id", "seq"]),
    ("turns", ["session_id", "start", "id"]),
    ("turns", ["session_id", "seq"]),
    ("turns", ["speaker_id"]),
    ("turn_revisions", ["speaker_id"]),
    ("turn_overlaps", ["speaker_id"]),
    ("intervals", ["session_id", "start"]),
    ("intervals", ["session_id", "seq"]),
)
LAST_TO_FIRST = (
    "wall_points",
    "intervals",
    "turn_overlaps",
    "turn_revisions",
    "turns",
    "speakers",
    "sessions",
    "store",
)


def upgrade() -> None:
    for table in TABLES:
        op.execute(table)
    for name, columns in INDEXES:
        op.create_index("_".join(["ix", name, *columns]), name, columns)


def downgrade() -> None:
    for name in LAST_TO_FIRST:
        op.drop_table(name)
