"""Which channels of its source a session hears, and how they become one.

Revision: 0006. Follows 0004.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN channels TEXT NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE sessions ADD COLUMN mix TEXT NOT NULL DEFAULT 'best'")


def downgrade() -> None:
    op.execute("ALTER TABLE sessions DROP COLUMN mix")
    op.execute("ALTER TABLE sessions DROP COLUMN channels")
