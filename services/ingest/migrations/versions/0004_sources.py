"""What a key is allowed besides its scopes: quota, limits, redaction, as one document."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a key without it has the defaults."""
    op.execute("ALTER TABLE ingest.api_key ADD COLUMN source text")


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE ingest.api_key DROP COLUMN source")
