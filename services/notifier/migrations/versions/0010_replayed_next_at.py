"""When a delivery that a replay took up would have been attempted without it.

Revision ID: 0010_replayed_next_at
"""

from __future__ import annotations

from alembic import op

revision = "0010_replayed_next_at"
down_revision = "0009_notices"


def upgrade() -> None:
    """Add it; of what was taken up before it is not known."""
    op.execute("ALTER TABLE notifier.delivery ADD COLUMN replayed_next_at timestamptz")


def downgrade() -> None:
    """Remove it."""
    op.execute("ALTER TABLE notifier.delivery DROP COLUMN replayed_next_at")
