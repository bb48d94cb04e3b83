"""Digests: what is held until the stretch of time ends in which too much of a type came for one Slack channel.

Revision ID: 0006_digests
"""

from __future__ import annotations

from alembic import op

revision = "0006_digests"
down_revision = "0005_slack"

_UP = (
    """CREATE TABLE notifier.digest_window (
        endpoint_id text NOT NULL REFERENCES notifier.endpoint ON DELETE CASCADE,
        type text NOT NULL,
        opened_at timestamptz NOT NULL,
        signals integer NOT NULL,
        PRIMARY KEY (endpoint_id, type)
    )""",
    "ALTER TABLE notifier.delivery ADD COLUMN digest_id text",
    "ALTER TABLE notifier.delivery DROP CONSTRAINT delivery_check, DROP CONSTRAINT delivery_status_check",
    """ALTER TABLE notifier.delivery
        ADD CONSTRAINT delivery_check
            CHECK ((hold_reason IN ('disabled', 'backlog', 'digest')) = (status = 'held')),
        ADD CONSTRAINT delivery_status_check CHECK (status IN
            ('pending', 'leased', 'held', 'succeeded', 'exhausted', 'cancelled', 'digested'))""",
    "CREATE INDEX delivery_digest_due ON notifier.delivery (endpoint_id, type, id) WHERE hold_reason = 'digest'",
    "CREATE INDEX delivery_digest ON notifier.delivery (digest_id) WHERE digest_id IS NOT NULL",
)
_DOWN = (
    "DROP INDEX notifier.delivery_digest, notifier.delivery_digest_due",
    "UPDATE notifier.delivery SET status = 'cancelled', hold_reason = NULL WHERE digest_id IS NOT NULL",
    "UPDATE notifier.delivery SET hold_reason = 'backlog' WHERE hold_reason = 'digest'",
    "ALTER TABLE notifier.delivery DROP CONSTRAINT delivery_check, DROP CONSTRAINT delivery_status_check",
    """ALTER TABLE notifier.delivery DROP COLUMN digest_id,
        ADD CONSTRAINT delivery_check CHECK ((hold_reason IN ('disabled', 'backlog')) = (status = 'held')),
        ADD CONSTRAINT delivery_status_check
            CHECK (status IN ('pending', 'leased', 'held', 'succeeded', 'exhausted', 'cancelled'))""",
    "DROP TABLE notifier.digest_window",
)


def upgrade() -> None:
    """Add them."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Remove them."""
    for statement in _DOWN:
        op.execute(statement)
