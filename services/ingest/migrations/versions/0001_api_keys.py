"""API keys: ingest writes them, every service reads them."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_API_KEY = """
CREATE TABLE ingest.api_key (
    id              text PRIMARY KEY,
    name            text NOT NULL,
    scopes          text[] NOT NULL CHECK (cardinality(scopes) > 0),
    secret_hash     bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz,
    revoked_at      timestamptz,
    idempotency_key text UNIQUE,
    request_hash    bytea
)
"""


def upgrade() -> None:
    """Create the table and the order of its lists."""
    op.execute(_API_KEY)
    op.execute("CREATE INDEX api_key_newest ON ingest.api_key (created_at DESC, id DESC)")


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE ingest.api_key")
