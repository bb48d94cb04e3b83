"""Where on the topic an event that waits came from, so that a list need not tell it twice."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what waits already counts as come before all that is on the topic."""
    op.execute("ALTER TABLE ingest.parked_event ADD COLUMN log_offset bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE ingest.parked_event DROP COLUMN log_offset")
