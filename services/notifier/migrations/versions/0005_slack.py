"""Bodies as Slack reads them, beside the ones that everybody else gets.

Revision ID: 0005_slack
"""

from __future__ import annotations

from alembic import op

revision = "0005_slack"
down_revision = "0004_endpoint_terms"


def upgrade() -> None:
    """Add them."""
    op.execute("ALTER TABLE notifier.message ADD COLUMN slack_body bytea")


def downgrade() -> None:
    """Remove them."""
    op.execute("ALTER TABLE notifier.message DROP COLUMN slack_body")
