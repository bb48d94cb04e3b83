"""What operators decide and ask for: jobs, partitions that were let go on, and where dead letters were sent again.

Revision ID: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE activation.dead_letter ADD COLUMN requeued_offset bigint",
    "CREATE INDEX dead_letter_part ON activation.dead_letter (part, id)",
    "CREATE INDEX dead_letter_reason ON activation.dead_letter (reason, id)",
    """
    CREATE TABLE activation.partition_resume (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        part         integer NOT NULL,
        reason       text NOT NULL,
        left_offset  bigint NOT NULL,
        next_offset  bigint NOT NULL,
        resumed_by   text NOT NULL,
        resumed_at   timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE activation.job (
        id            uuid PRIMARY KEY,
        kind          text NOT NULL,
        part          integer,
        arguments     jsonb NOT NULL DEFAULT '{}',
        state         text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
        done          bigint NOT NULL DEFAULT 0,
        total         bigint,
        result        json,
        error         text,
        requested_by  text NOT NULL,
        created_at    timestamptz NOT NULL DEFAULT now(),
        heartbeat_at  timestamptz NOT NULL DEFAULT now(),
        ended_at      timestamptz
    )
    """,
    # One at a time of what runs in a process of ours: it reads all there is.
    "CREATE UNIQUE INDEX job_running ON activation.job (kind) WHERE state = 'running'",
    "CREATE INDEX job_waiting ON activation.job (kind, part) WHERE state = 'waiting'",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE activation.job")
    op.execute("DROP TABLE activation.partition_resume")
    op.execute("DROP INDEX activation.dead_letter_part, activation.dead_letter_reason")
    op.execute("ALTER TABLE activation.dead_letter DROP COLUMN requeued_offset")
