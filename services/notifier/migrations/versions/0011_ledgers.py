"""Which ledger the numbers are of that intake follows.

Revision ID: 0011_ledgers
"""

from __future__ import annotations

from alembic import op

revision = "0011_ledgers"
down_revision = "0010_replayed_next_at"


def upgrade() -> None:
    """Add it; the next signal tells."""
    op.execute("ALTER TABLE notifier.intake ADD COLUMN ledger_ms bigint")


def downgrade() -> None:
    """Remove it."""
    op.execute("ALTER TABLE notifier.intake DROP COLUMN ledger_ms")
