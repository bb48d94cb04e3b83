"""Erased accounts, and what finds the messages that speak of one. A message without a body is an erased one.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create them."""
    op.execute(
        """CREATE TABLE notifier.tombstone (
            account_hash bytea PRIMARY KEY,
            seq bigint NOT NULL,
            erased_at timestamptz NOT NULL DEFAULT now()
        )"""
    )
    op.execute("CREATE INDEX message_account ON notifier.message (account_id) WHERE account_id IS NOT NULL")
    op.execute("CREATE INDEX message_notice ON notifier.message (id) WHERE type = 'account.erased' AND body <> ''")


def downgrade() -> None:
    """Remove them."""
    op.execute("DROP INDEX notifier.message_notice, notifier.message_account")
    op.execute("DROP TABLE notifier.tombstone")
