"""The tables of schema `activation`, as the migrations leave them, for queries that are composed in Python."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, INT8MULTIRANGE, JSON, JSONB, TIMESTAMP, UUID

SCHEMA = "activation"

metadata = sa.MetaData(schema=SCHEMA)

_Moment = TIMESTAMP(timezone=True)

# One row per partition of the product-events topic: who may change the partition's state, and how far it is.
partition_lease = sa.Table(
    "partition_lease",
    metadata,
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("stamp", UUID, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("last_append_ms", sa.BigInteger),
    sa.Column("out_seq", sa.BigInteger, nullable=False),
    sa.Column("published_seq", sa.BigInteger, nullable=False),
    sa.Column("clock_ms", sa.BigInteger),
    sa.Column("last_event_at_ms", sa.BigInteger),
    sa.Column("holes", JSONB, nullable=False),
    sa.Column("hold_until_ms", sa.BigInteger, nullable=False),
    sa.Column("sweep_after", sa.Text),
    sa.Column("counts", JSONB, nullable=False),
    sa.Column("stopped", sa.Text),
    sa.Column("updated_at", _Moment, nullable=False),
)

# `facts` is the encoded state of the domain; the other columns repeat what queries need.
account = sa.Table(
    "account",
    metadata,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("next_check", sa.BigInteger),
    sa.Column("rev", sa.BigInteger, nullable=False),
    sa.Column("facts", BYTEA, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("last_event", sa.Text),
    sa.Column("active_days", JSONB, nullable=False),
)

account_plan = sa.Table(
    "account_plan",
    metadata,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("segment", sa.Text),
    sa.Column("started_at", _Moment),
    sa.Column("first_value_at", _Moment),
    sa.Column("activated_at", _Moment),
    sa.Column("reached", JSONB, nullable=False),
    sa.Column("features", BYTEA),
    sa.Column("closed_at", _Moment),
    sa.Column("waiting_for", sa.Text),
    sa.Column("paused", INT8MULTIRANGE),
)

# Every signal, gapless by `seq` within its partition; `payload` is the exact JSON that subscribers get.
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("id", UUID, nullable=False, unique=True),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("payload", BYTEA),
    sa.Column("appended_ms", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", _Moment, nullable=False),
    sa.Column("received_ms", sa.BigInteger),
    sa.Column("traceparent", sa.Text),
)

plan_version = sa.Table(
    "plan_version",
    metadata,
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("content", JSON, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("published_at", _Moment, nullable=False),
)

# From which offset, and which log time, a version judges a partition; the newest version of a plan is the live one.
partition_plan = sa.Table(
    "partition_plan",
    metadata,
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("from_offset", sa.BigInteger, nullable=False),
    sa.Column("live_from_ms", sa.BigInteger, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
)

# Per partition, because owners of different partitions must not wait for each other's rows; readers add up.
event_name = sa.Table(
    "event_name",
    metadata,
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("first_seen_ms", sa.BigInteger, nullable=False),
    sa.Column("last_seen_ms", sa.BigInteger, nullable=False),
)

dead_letter = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("key", BYTEA),
    sa.Column("value", BYTEA),
    sa.Column("appended_ms", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", _Moment, nullable=False),
    sa.Column("requeued_at", _Moment),
    sa.Column("requeued_offset", sa.BigInteger),
)

tombstone = sa.Table(
    "tombstone",
    metadata,
    sa.Column("account_hash", BYTEA, primary_key=True),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("erase_offset", sa.BigInteger, nullable=False),
    sa.Column("erased_at", _Moment, nullable=False),
)

# Where an operator let a stopped partition go on: offsets in between are skipped, or applied again.
partition_resume = sa.Table(
    "partition_resume",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("part", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("left_offset", sa.BigInteger, nullable=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("resumed_by", sa.Text, nullable=False),
    sa.Column("resumed_at", _Moment, nullable=False),
)

# Long work, of whichever replica; one that runs and has not been heard of for a while has died with its process.
job = sa.Table(
    "job",
    metadata,
    sa.Column("id", UUID, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("part", sa.Integer),
    sa.Column("arguments", JSONB, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger),
    sa.Column("result", JSON),
    sa.Column("error", sa.Text),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("created_at", _Moment, nullable=False),
    sa.Column("heartbeat_at", _Moment, nullable=False),
    sa.Column("ended_at", _Moment),
)
