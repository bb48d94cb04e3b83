"""Active days move from the row per plan to the account's row, which is written on such a day in any case.

Revision ID: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """`active_days` has, per rule of activity and length of a day, the newest active day's number and in hexadecimal a
    bitmap of the 96 days up to it. Of old accounts it is filled when they are next written."""
    op.execute("ALTER TABLE activation.account ADD COLUMN active_days jsonb NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE activation.account_plan DROP COLUMN active_day, DROP COLUMN active_days")


def downgrade() -> None:
    """Back, without the days."""
    op.execute("ALTER TABLE activation.account DROP COLUMN active_days")
    op.execute("""
        ALTER TABLE activation.account_plan
            ADD COLUMN active_day bigint, ADD COLUMN active_days bytea NOT NULL DEFAULT ''
    """)
