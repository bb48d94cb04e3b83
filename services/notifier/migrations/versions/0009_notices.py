"""Which signal told of an erasure: a restored ledger tells of it under the same id, maybe under another number.

Revision ID: 0009_notices
"""

from __future__ import annotations

from alembic import op

revision = "0009_notices"
down_revision = "0008_lookups"


def upgrade() -> None:
    """Add it; of earlier erasures it is not known."""
    op.execute("ALTER TABLE notifier.tombstone ADD COLUMN notice text")


def downgrade() -> None:
    """Remove it."""
    op.execute("ALTER TABLE notifier.tombstone DROP COLUMN notice")
