"""Browser keys: the origins whose pages may use a key."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An empty list is a server's key."""
    op.execute("ALTER TABLE ingest.api_key ADD COLUMN origins text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE ingest.api_key DROP COLUMN origins")
