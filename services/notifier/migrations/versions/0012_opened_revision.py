"""At which revision of its endpoint a gate was opened by hand: what was attempted before says nothing about it.

Revision ID: 0012_opened_revision
"""

from __future__ import annotations

from alembic import op

revision = "0012_opened_revision"
down_revision = "0011_ledgers"


def upgrade() -> None:
    """Add it; no gate was opened since an attempt that is on the wire."""
    op.execute("ALTER TABLE notifier.endpoint_gate ADD COLUMN opened_revision bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Remove it."""
    op.execute("ALTER TABLE notifier.endpoint_gate DROP COLUMN opened_revision")
