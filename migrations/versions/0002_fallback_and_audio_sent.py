"""What a session may fall back to, and how much audio each of its engines was sent.

Revision: 0002. Follows 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Sessions from before allowed no fallback; nobody knows what their engines were sent, and 0 claims nothing.
COLUMNS = (
    ("fallback", "TEXT NOT NULL DEFAULT 'none'"),
    ("diarizer_sent", "INTEGER NOT NULL DEFAULT 0"),
    ("transcriber_sent", "INTEGER NOT NULL DEFAULT 0"),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.execute(f"ALTER TABLE sessions ADD COLUMN {name} {kind}")


def downgrade() -> None:
    for name, _ in reversed(COLUMNS):
        op.execute(f"ALTER TABLE sessions DROP COLUMN {name}")
