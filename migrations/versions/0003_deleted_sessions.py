"""What is left of a deleted session, and a short way to the redacted stretches of one.

Revision: 0003. Follows 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE deleted_sessions (
            id TEXT NOT NULL,
            name TEXT NOT NULL,
            created_s REAL NOT NULL,
            seq INTEGER NOT NULL,
            CONSTRAINT pk_deleted_sessions PRIMARY KEY (id),
            CONSTRAINT uq_deleted_sessions_seq UNIQUE (seq)
        ) STRICT
        """
    )
    op.execute("CREATE INDEX ix_intervals_redacted ON intervals (session_id, start) WHERE reason = 'REDACTED'")


def downgrade() -> None:
    op.execute("DROP INDEX ix_intervals_redacted")
    op.execute("DROP TABLE deleted_sessions")
