"""The notifier's tables.

Deliveries have no foreign keys: each inserted row would lock its endpoint's row and look up its message, and both are
only ever removed together with their deliveries.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_ENDPOINTS = """
CREATE TABLE notifier.endpoint (
    id text PRIMARY KEY,
    url text NOT NULL,
    description text NOT NULL,
    format text NOT NULL,
    types text[] NOT NULL,
    origins text[] NOT NULL,
    timeout_seconds double precision NOT NULL,
    concurrency_max integer NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    revision bigint NOT NULL DEFAULT 1,
    idempotency_key text,
    request_hash bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX endpoint_idempotency_key ON notifier.endpoint (idempotency_key) WHERE deleted_at IS NULL;

CREATE TABLE notifier.endpoint_secret (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES notifier.endpoint ON DELETE CASCADE,
    scheme text NOT NULL,
    key_id text NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX endpoint_secret_endpoint ON notifier.endpoint_secret (endpoint_id, id);

CREATE TABLE notifier.endpoint_gate (
    endpoint_id text PRIMARY KEY REFERENCES notifier.endpoint ON DELETE CASCADE,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz
) WITH (fillfactor = 50);
"""

_QUEUE = """
CREATE TABLE notifier.message (
    id text PRIMARY KEY,
    type text NOT NULL,
    account_id text,
    origin text NOT NULL,
    traceparent text,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX message_created ON notifier.message USING brin (created_at);

CREATE TABLE notifier.delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL,
    endpoint_id text NOT NULL,
    type text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('pending', 'leased', 'held', 'succeeded', 'exhausted', 'cancelled')),
    hold_reason text CHECK ((hold_reason IN ('disabled', 'backlog')) = (status = 'held')),
    next_at timestamptz,
    lease_until timestamptz,
    claim integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    manual boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (message_id, endpoint_id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX delivery_due ON notifier.delivery (endpoint_id, next_at) WHERE status = 'pending';
CREATE INDEX delivery_leased ON notifier.delivery (lease_until) WHERE status = 'leased';
CREATE INDEX delivery_unfinished ON notifier.delivery (status, id) WHERE status IN ('held', 'exhausted', 'cancelled');
CREATE INDEX delivery_endpoint ON notifier.delivery (endpoint_id, id);

CREATE TABLE notifier.attempt (
    delivery_id bigint NOT NULL,
    at timestamptz NOT NULL,
    number integer NOT NULL,
    trigger text NOT NULL,
    result text NOT NULL,
    status_code integer,
    duration_ms integer NOT NULL,
    response bytea,
    error text,
    late boolean NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX attempt_delivery ON notifier.attempt (delivery_id, at);
"""

_INTAKE = """
CREATE TABLE notifier.intake (
    part integer PRIMARY KEY,
    next_offset bigint NOT NULL,
    last_seq bigint,
    gaps bigint[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE notifier.dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    part integer NOT NULL,
    record_offset bigint NOT NULL,
    reason text NOT NULL,
    value bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (topic, part, record_offset)
);
"""

# The service's own role needs no right to create or drop tables: these two functions run with the migrator's.
_PARTITIONS = """
CREATE FUNCTION notifier.create_attempt_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    day date;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('notifier.attempt'));
    FOR day IN SELECT current_date + n FROM generate_series(-1, least(days_ahead, 60)) AS n LOOP
        IF to_regclass('notifier.attempt_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE notifier.%I PARTITION OF notifier.attempt FOR VALUES FROM (%L) TO (%L)',
                'attempt_' || to_char(day, 'YYYYMMDD'),
                to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION notifier.drop_attempt_partitions(days_kept integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    old text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('notifier.attempt'));
    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'notifier.attempt'::regclass
          AND c.relname ~ '^attempt_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - greatest(days_kept, 1)
    LOOP
        EXECUTE format('DROP TABLE notifier.%I', old);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION notifier.create_attempt_partitions(integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION notifier.drop_attempt_partitions(integer) FROM PUBLIC;
"""


def upgrade() -> None:
    """Create everything."""
    for script in (_ENDPOINTS, _QUEUE, _INTAKE):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)
    for statement in _PARTITIONS.split("\n\n"):
        op.execute(statement)
    op.execute("SELECT notifier.create_attempt_partitions(7)")


def downgrade() -> None:
    """Remove everything; for development only."""
    op.execute("DROP SCHEMA notifier CASCADE")
