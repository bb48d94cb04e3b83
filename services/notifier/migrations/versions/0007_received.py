"""When what caused a message was received and when it occurred: for latencies from end to end."""

from __future__ import annotations

from alembic import op

revision = "0007_received"
down_revision = "0006_digests"


def upgrade() -> None:
    """Both are empty in messages that were taken before."""
    op.execute("ALTER TABLE notifier.message ADD COLUMN received_at timestamptz, ADD COLUMN occurred_at timestamptz")


def downgrade() -> None:
    """Back, without them."""
    op.execute("ALTER TABLE notifier.message DROP COLUMN received_at, DROP COLUMN occurred_at")
