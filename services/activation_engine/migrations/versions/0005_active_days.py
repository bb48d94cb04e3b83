"""What insights read: active days move to the account's row, and adoption is kept as the core features it is made of.

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
    bitmap of the 96 days up to it; `features` a bit per core feature of the plan. Both are filled when an account is
    next written."""
    op.execute("ALTER TABLE activation.account ADD COLUMN active_days jsonb NOT NULL DEFAULT '{}'")
    op.execute("""
        ALTER TABLE activation.account_plan
            DROP COLUMN active_day, DROP COLUMN active_days, DROP COLUMN adoption, ADD COLUMN features bytea
    """)


def downgrade() -> None:
    """Back, without the days and shares."""
    op.execute("ALTER TABLE activation.account DROP COLUMN active_days")
    op.execute("""
        ALTER TABLE activation.account_plan
            ADD COLUMN active_day bigint, ADD COLUMN active_days bytea NOT NULL DEFAULT '',
            ADD COLUMN adoption real, DROP COLUMN features
    """)
