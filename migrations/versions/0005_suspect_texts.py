"""Which texts look invented, and how much speech, and sound like it, is under each.

Revision: 0005. Follows 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Turns from before were never judged, and nobody knows what is under them.
COLUMNS = (("suspect", "TEXT"), ("spoken", "INTEGER"), ("voiced", "INTEGER"))


def upgrade() -> None:
    for table in ("turns", "turn_revisions"):
        for name, kind in COLUMNS:
            op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def downgrade() -> None:
    for table in ("turn_revisions", "turns"):
        for name, _ in reversed(COLUMNS):
            op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
