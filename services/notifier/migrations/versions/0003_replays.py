"""Replays, priorities, phases of attempts, breakers and what was announced of them; bodies go before ids.

Revision ID: 0003_replays
"""

from __future__ import annotations

from alembic import op

revision = "0003_replays"
down_revision = "0002"

_UP = (
    """ALTER TABLE notifier.delivery
        ADD COLUMN priority smallint NOT NULL DEFAULT 0,
        ADD COLUMN restarted_at timestamptz,
        ADD COLUMN last_attempt_at timestamptz,
        ADD COLUMN replay_id bigint,
        ADD COLUMN replayed_status text""",
    "UPDATE notifier.delivery SET priority = 1 WHERE status = 'pending' AND attempts > 0",
    "CREATE INDEX delivery_ready ON notifier.delivery (endpoint_id, priority, next_at) WHERE status = 'pending'",
    # The new one serves the same statements.
    "DROP INDEX notifier.delivery_due",
    "CREATE INDEX delivery_replay ON notifier.delivery (replay_id, status) WHERE replay_id IS NOT NULL",
    """ALTER TABLE notifier.attempt
        ADD COLUMN resolve_ms integer, ADD COLUMN connect_ms integer, ADD COLUMN wait_ms integer""",
    """ALTER TABLE notifier.endpoint_gate
        ADD COLUMN trips integer NOT NULL DEFAULT 0,
        ADD COLUMN probe_until timestamptz,
        ADD COLUMN pull_before timestamptz,
        ADD COLUMN last_failed_at timestamptz,
        ADD COLUMN announced smallint NOT NULL DEFAULT 0""",
    "CREATE INDEX message_with_body ON notifier.message (created_at) WHERE body <> ''",
    """CREATE TABLE notifier.replay (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        endpoint_id text NOT NULL,
        since timestamptz NOT NULL,
        until timestamptz NOT NULL,
        types text[] NOT NULL,
        statuses text[] NOT NULL,
        status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'cancelled')),
        done_id bigint NOT NULL DEFAULT 0,
        last_id bigint NOT NULL,
        total integer NOT NULL,
        queued integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
    )""",
    "CREATE UNIQUE INDEX replay_running ON notifier.replay (endpoint_id) WHERE status = 'running'",
)
_DOWN = (
    "DROP TABLE notifier.replay",
    "DROP INDEX notifier.message_with_body",
    """ALTER TABLE notifier.endpoint_gate DROP COLUMN trips, DROP COLUMN probe_until, DROP COLUMN pull_before,
        DROP COLUMN last_failed_at, DROP COLUMN announced""",
    "ALTER TABLE notifier.attempt DROP COLUMN resolve_ms, DROP COLUMN connect_ms, DROP COLUMN wait_ms",
    "CREATE INDEX delivery_due ON notifier.delivery (endpoint_id, next_at) WHERE status = 'pending'",
    "DROP INDEX notifier.delivery_replay, notifier.delivery_ready",
    """ALTER TABLE notifier.delivery DROP COLUMN priority, DROP COLUMN restarted_at, DROP COLUMN last_attempt_at,
        DROP COLUMN replay_id, DROP COLUMN replayed_status""",
)


def upgrade() -> None:
    """Add them."""
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Remove them."""
    for statement in _DOWN:
        op.execute(statement)
