"""What finds an erased account's tombstone, and the signals that still name one.

Revision ID: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.execute("CREATE INDEX tombstone_part ON activation.tombstone (part)")
    op.execute(
        "CREATE INDEX ledger_erased ON activation.ledger (part, seq) "
        "WHERE type = 'account.erased' AND payload IS NOT NULL"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX activation.ledger_erased, activation.tombstone_part")
