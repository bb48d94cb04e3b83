"""When a partition's ledger began: whoever follows its numbers must know when they begin anew.

Revision ID: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of a ledger that is there already it is now; a restored one keeps what it had."""
    op.execute(
        "ALTER TABLE activation.partition_lease "
        "ADD COLUMN ledger_ms bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    )


def downgrade() -> None:
    """Back, without it."""
    op.execute("ALTER TABLE activation.partition_lease DROP COLUMN ledger_ms")
