"""What the daemon's own end interrupted, and what is still to be erased: both were files beside the database before.

Revision: 0007. Follows 0006.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN interrupted_s REAL")
    op.execute("ALTER TABLE sessions ADD COLUMN was_paused INTEGER NOT NULL DEFAULT 0")
    op.execute(
        """
        CREATE TABLE erasures (
            number INTEGER NOT NULL,
            id TEXT NOT NULL,
            session_id TEXT NOT NULL,
            session_name TEXT NOT NULL,
            start INTEGER,
            "end" INTEGER,
            start_wall_s REAL,
            CONSTRAINT pk_erasures PRIMARY KEY (number),
            CONSTRAINT uq_erasures_id UNIQUE (id)
        ) STRICT
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE erasures")
    op.execute("ALTER TABLE sessions DROP COLUMN was_paused")
    op.execute("ALTER TABLE sessions DROP COLUMN interrupted_s")
