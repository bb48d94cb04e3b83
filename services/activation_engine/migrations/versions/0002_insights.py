"""What insights read: adoption, active days and the closing time under a plan, and what an account did last.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; none rewrites its table. `active_day` counts plan days since the
    epoch, which of a short day are more than an integer holds; `active_days` is a
    big-endian bitmap of the 96 days up to it, the lowest bit for that day itself."""
    op.execute("""
        ALTER TABLE activation.account_plan
            ADD COLUMN adoption real,
            ADD COLUMN active_day bigint,
            ADD COLUMN active_days bytea NOT NULL DEFAULT '',
            ADD COLUMN closed_at timestamptz,
            ADD COLUMN waiting_for text
    """)
    op.execute("ALTER TABLE activation.account ADD COLUMN last_event text")


def downgrade() -> None:
    """Drop them."""
    op.execute("""
        ALTER TABLE activation.account_plan
            DROP COLUMN adoption, DROP COLUMN active_day, DROP COLUMN active_days, DROP COLUMN closed_at,
            DROP COLUMN waiting_for
    """)
    op.execute("ALTER TABLE activation.account DROP COLUMN last_event")
