"""The directory: what is learned about people, events that wait for it, and who owns which partition of it."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PERSON = """
CREATE TABLE ingest.person (
    user_id   text PRIMARY KEY,
    partition integer NOT NULL,
    accounts  text[] NOT NULL,
    role      text,
    role_at   timestamptz,
    email     text,
    email_at  timestamptz
)
"""
_PARKED_EVENT = """
CREATE TABLE ingest.parked_event (
    user_id    text NOT NULL,
    message_id text NOT NULL,
    partition  integer NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT now(),
    value      bytea NOT NULL,
    PRIMARY KEY (user_id, message_id)
)
"""
_RESOLVER = """
CREATE TABLE ingest.resolver (
    partition   integer PRIMARY KEY,
    stamp       uuid NOT NULL,
    next_offset bigint NOT NULL
)
"""


def upgrade() -> None:
    """Create the tables, and the way from an account to its people for erasures."""
    op.execute(_PERSON)
    op.execute("CREATE INDEX person_of_account ON ingest.person USING gin (accounts)")
    op.execute(_PARKED_EVENT)
    op.execute("CREATE INDEX parked_event_oldest ON ingest.parked_event (partition, parked_at)")
    op.execute(_RESOLVER)


def downgrade() -> None:
    """Drop the tables."""
    for table in ("resolver", "parked_event", "person"):
        op.execute(f"DROP TABLE ingest.{table}")
