"""Terms of endpoints: finer filters, pace, retry schedule, delivery window; who was shown a secret.

Revision ID: 0004_endpoint_terms
"""

from __future__ import annotations

from alembic import op

revision = "0004_endpoint_terms"
down_revision = "0003_replays"

_COLUMNS = """
ALTER TABLE notifier.endpoint
    ADD COLUMN plans text[] NOT NULL DEFAULT '{}',
    ADD COLUMN segments text[] NOT NULL DEFAULT '{}',
    ADD COLUMN owners text[] NOT NULL DEFAULT '{}',
    ADD COLUMN reasons text[] NOT NULL DEFAULT '{}',
    ADD COLUMN rate_per_second double precision,
    ADD COLUMN burst integer,
    ADD COLUMN retry_schedule_seconds double precision[],
    ADD COLUMN delivery_window jsonb,
    ADD COLUMN header_names text[] NOT NULL DEFAULT '{}'
"""
_WINDOW_OPEN = """
CREATE FUNCTION notifier.window_open(delivery_window jsonb, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    here timestamp;
    opens time := (delivery_window->>'from')::time;
    closes time := (delivery_window->>'until')::time;
    today text;
    yesterday text;
BEGIN
    IF delivery_window IS NULL THEN
        RETURN true;
    END IF;
    here := at AT TIME ZONE (delivery_window->>'time_zone');
    today := (ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow FROM here)];
    yesterday := (ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow FROM here - interval '1 day')];
    IF opens < closes THEN
        RETURN delivery_window->'days' ? today AND here::time >= opens AND here::time < closes;
    END IF;
    RETURN (delivery_window->'days' ? today AND here::time >= opens)
        OR (delivery_window->'days' ? yesterday AND here::time < closes);
EXCEPTION WHEN invalid_parameter_value THEN
    -- A time zone that this server no longer knows holds nothing back.
    RETURN true;
END $$
"""
_ACCESS = """
CREATE TABLE notifier.secret_access (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text NOT NULL,
    action text NOT NULL CHECK (action IN ('created', 'rotated', 'shown')),
    key_id text NOT NULL,
    key_name text NOT NULL,
    request_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""


def upgrade() -> None:
    """Add them."""
    op.execute(_COLUMNS)
    op.execute(_WINDOW_OPEN)
    op.execute(_ACCESS)
    op.execute("CREATE INDEX secret_access_endpoint ON notifier.secret_access (endpoint_id, id)")
    op.execute("ALTER TABLE notifier.endpoint_secret ADD COLUMN idempotency_key text, ADD COLUMN request_hash bytea")
    op.execute(
        "CREATE UNIQUE INDEX endpoint_secret_idempotency_key ON notifier.endpoint_secret (endpoint_id, idempotency_key)"
    )


def downgrade() -> None:
    """Remove them."""
    op.execute("ALTER TABLE notifier.endpoint_secret DROP COLUMN idempotency_key, DROP COLUMN request_hash")
    op.execute("DROP TABLE notifier.secret_access")
    op.execute("DROP FUNCTION notifier.window_open")
    op.execute(
        """ALTER TABLE notifier.endpoint DROP COLUMN plans, DROP COLUMN segments, DROP COLUMN owners,
        DROP COLUMN reasons, DROP COLUMN rate_per_second, DROP COLUMN burst, DROP COLUMN retry_schedule_seconds,
        DROP COLUMN delivery_window, DROP COLUMN header_names"""
    )
