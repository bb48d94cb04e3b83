"""Leases, accounts, the ledger of signals, plan versions and what could not be applied.

Revision ID: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Account ids sort by code point (collation C) as they do in Python: the order of due accounts is the same in both.
# Fill factors leave room on the page for the next version of a row, so that updates of unindexed columns stay HOT.
_STATEMENTS = (
    """
    CREATE TABLE activation.partition_lease (
        part            integer PRIMARY KEY CHECK (part >= 0),
        stamp           uuid NOT NULL,
        source          text NOT NULL,
        owner           text,
        next_offset     bigint NOT NULL DEFAULT 0,
        last_append_ms  bigint,
        out_seq         bigint NOT NULL DEFAULT 0,
        published_seq   bigint NOT NULL DEFAULT 0,
        clock_ms        bigint,
        last_event_at_ms bigint,
        holes           jsonb NOT NULL DEFAULT '[]',
        hold_until_ms   bigint NOT NULL DEFAULT 0,
        sweep_after     text COLLATE "C",
        counts          jsonb NOT NULL DEFAULT '{}',
        stopped         text,
        updated_at      timestamptz NOT NULL DEFAULT now(),
        CHECK (published_seq <= out_seq)
    ) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
    """
    CREATE TABLE activation.account (
        account_id  text COLLATE "C" PRIMARY KEY,
        part        integer NOT NULL,
        next_check  bigint,
        rev         bigint NOT NULL DEFAULT 1,
        facts       bytea NOT NULL,
        name        text,
        owner       text
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)
    """,
    # Compression would cost more time than the pages that it saves: facts stay below two kilobytes.
    "ALTER TABLE activation.account ALTER COLUMN facts SET STORAGE EXTERNAL",
    "CREATE INDEX account_due ON activation.account (part, next_check, account_id) WHERE next_check IS NOT NULL",
    "CREATE INDEX account_owner ON activation.account (owner, account_id) WHERE owner IS NOT NULL",
    """
    CREATE TABLE activation.account_plan (
        account_id      text COLLATE "C" NOT NULL,
        plan            text NOT NULL,
        version         integer NOT NULL,
        status          text NOT NULL,
        reason          text,
        segment         text,
        started_at      timestamptz,
        first_value_at  timestamptz,
        activated_at    timestamptz,
        reached         jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (account_id, plan)
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)
    """,
    "CREATE INDEX account_plan_status ON activation.account_plan (plan, status, account_id)",
    """
    CREATE TABLE activation.ledger (
        part         integer NOT NULL,
        seq          bigint NOT NULL CHECK (seq > 0),
        id           uuid NOT NULL UNIQUE,
        account_id   text COLLATE "C" NOT NULL,
        type         text NOT NULL,
        payload      bytea CHECK (octet_length(payload) <= 65536),
        appended_ms  bigint NOT NULL,
        recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (part, seq)
    )
    """,
    "CREATE INDEX ledger_account ON activation.ledger (account_id, seq)",
    # json, not jsonb: people read milestones in the order in which they were written.
    """
    CREATE TABLE activation.plan_version (
        plan          text NOT NULL,
        version       integer NOT NULL CHECK (version > 0),
        hash          text NOT NULL,
        title         text NOT NULL DEFAULT '',
        policy        text NOT NULL DEFAULT 'silent' CHECK (policy IN ('silent', 'emit', 'retired')),
        content       json NOT NULL,
        source        text NOT NULL,
        published_at  timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (plan, version)
    )
    """,
    """
    CREATE TABLE activation.partition_plan (
        part          integer NOT NULL,
        plan          text NOT NULL,
        version       integer NOT NULL,
        from_offset   bigint NOT NULL,
        live_from_ms  bigint NOT NULL,
        policy        text NOT NULL,
        PRIMARY KEY (part, plan, version)
    )
    """,
    """
    CREATE TABLE activation.event_name (
        part           integer NOT NULL,
        name           text COLLATE "C" NOT NULL,
        count          bigint NOT NULL,
        first_seen_ms  bigint NOT NULL,
        last_seen_ms   bigint NOT NULL,
        PRIMARY KEY (part, name)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE activation.dead_letter (
        id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        part          integer NOT NULL,
        "offset"      bigint NOT NULL,
        reason        text NOT NULL,
        detail        text NOT NULL,
        key           bytea,
        value         bytea,
        appended_ms   bigint NOT NULL,
        recorded_at   timestamptz NOT NULL DEFAULT now(),
        requeued_at   timestamptz
    )
    """,
    """
    CREATE TABLE activation.tombstone (
        account_hash  bytea PRIMARY KEY,
        part          integer NOT NULL,
        erase_offset  bigint NOT NULL,
        erased_at     timestamptz NOT NULL DEFAULT now()
    )
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, in the reverse order."""
    for statement in reversed(_STATEMENTS):
        if "CREATE TABLE" in statement:
            op.execute(f"DROP TABLE {statement.split()[2]}")
