"""Pauses move to where insights read: paused time is taken out of how long an account took.

Revision ID: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """In milliseconds, without an end while nobody has ended one; null without pauses. Filled when an account is next
    decided."""
    op.execute("ALTER TABLE activation.account_plan ADD COLUMN paused int8multirange")


def downgrade() -> None:
    """Back, without them."""
    op.execute("ALTER TABLE activation.account_plan DROP COLUMN paused")
