"""Ways to deliveries that no index had: by time, and those held for one reason.

Revision ID: 0008_lookups
"""

from __future__ import annotations

from alembic import op

from services.runtime.migrations import concurrently

revision = "0008_lookups"
down_revision = "0007_received"

# Ids grow with time, so that the primary key finds a time by bisection and no delivery pays for another index. They
# grow not quite evenly: a transaction that began earlier may insert later. Callers allow for the longest one.
_ID_AT = """
CREATE FUNCTION notifier.delivery_id_at(at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    low bigint := coalesce((SELECT min(id) FROM notifier.delivery), 1);
    high bigint := coalesce((SELECT max(id) FROM notifier.delivery), 0) + 1;
    middle bigint;
    found record;
BEGIN
    WHILE low < high LOOP
        middle := low + (high - low) / 2;
        SELECT id, created_at INTO found FROM notifier.delivery WHERE id >= middle ORDER BY id LIMIT 1;
        IF found.created_at >= at THEN
            high := middle;
        ELSE
            low := found.id + 1;
        END IF;
    END LOOP;
    RETURN low;
END $$
"""


def upgrade() -> None:
    """Add them."""
    with concurrently():
        # One that was interrupted leaves an index that nothing uses.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifier.delivery_held")
        op.execute(
            """CREATE INDEX CONCURRENTLY delivery_held ON notifier.delivery (hold_reason, endpoint_id, id)
            WHERE status = 'held'"""
        )
    op.execute(_ID_AT)


def downgrade() -> None:
    """Remove them."""
    with concurrently():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifier.delivery_held")
    op.execute("DROP FUNCTION notifier.delivery_id_at")
