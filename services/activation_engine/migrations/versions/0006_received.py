"""When what caused a signal was received, and its trace: they travel on to the notifier.

Revision ID: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Both are empty in rows that were written before."""
    op.execute("ALTER TABLE activation.ledger ADD COLUMN received_ms bigint, ADD COLUMN traceparent text")


def downgrade() -> None:
    """Back, without them."""
    op.execute("ALTER TABLE activation.ledger DROP COLUMN received_ms, DROP COLUMN traceparent")
