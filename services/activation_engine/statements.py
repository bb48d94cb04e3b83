"""Every SQL statement of the protocol, with the arrays that each takes; arrays are rows turned on their side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.activation_engine.domain.rows import PlanRow
from services.activation_engine.store import AccountRow, Adoption, DeadLetter, Lease, LedgerRow, NameSeen

Arrays = dict[str, list[Any]]


def _statement(text: str, **arrays: str) -> sa.TextClause:
    """`text` with `:rows` standing for the unnested arrays, named and typed by `arrays`."""
    unnested = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in arrays.items())
    columns = ", ".join(f'"{name}"' for name in arrays)
    return sa.text(text.replace(":rows", f"unnest({unnested}) AS new ({columns})"))


def _insert(table: str, **arrays: str) -> sa.TextClause:
    columns = ", ".join(f'"{name}"' for name in arrays)
    return _statement(f"INSERT INTO activation.{table} ({columns}) SELECT {columns} FROM :rows", **arrays)  # noqa: S608 - of constants


CREATE_LEASES = _statement(
    "INSERT INTO activation.partition_lease (part, stamp, source) SELECT parts, stamps, :source FROM :rows "
    "ON CONFLICT (part) DO NOTHING",
    parts="int",
    stamps="uuid",
)
CLAIM = sa.text(
    "UPDATE activation.partition_lease SET stamp = :stamp, owner = :owner, stopped = NULL, updated_at = now() "
    "WHERE part = :part RETURNING *"
)
STOP = sa.text("UPDATE activation.partition_lease SET stopped = :reason WHERE part = :part AND stamp = :stamp")
ADOPTED = sa.text(
    "SELECT DISTINCT ON (plan) part, plan, version, from_offset, live_from_ms, policy FROM activation.partition_plan "
    "WHERE part = :part ORDER BY plan, version DESC"
)
NAMES = sa.text("SELECT DISTINCT name FROM activation.event_name")
LOAD_ACCOUNTS = sa.text(
    "SELECT account_id, part, facts FROM activation.account WHERE account_id = ANY(CAST(:ids AS text[]))"
)
LOAD_DUE = sa.text(
    "SELECT account_id, part, facts, next_check FROM activation.account WHERE part = :part AND next_check <= :clock "
    "ORDER BY next_check, account_id LIMIT :limit"
)
LOAD_SWEEP = sa.text(
    "SELECT account_id, part, facts FROM activation.account WHERE part = :part AND account_id > :after "
    "ORDER BY account_id LIMIT :limit"
)
KNOWN_SIGNALS = sa.text("SELECT id FROM activation.ledger WHERE id = ANY(CAST(:ids AS uuid[]))")
READ_LEDGER = sa.text(
    "SELECT seq, id, account_id, type, payload, appended_ms, received_ms, traceparent FROM ("
    "  SELECT *, sum(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM ("
    "    SELECT * FROM activation.ledger WHERE part = :part AND seq > :after ORDER BY seq LIMIT :rows) AS next"
    ") AS summed WHERE coalesce(bytes, 0) <= :bytes OR seq = :after + 1 ORDER BY seq"
)
PUBLISHED = sa.text(
    "SELECT DISTINCT ON (plan) plan, version, policy, hash FROM activation.plan_version ORDER BY plan, version DESC"
)
PLAN_CONTENT = sa.text("SELECT content FROM activation.plan_version WHERE plan = :plan AND version = :version")
COUNT_STATUSES = sa.text("SELECT status, count(*) AS accounts FROM activation.account_plan GROUP BY status")

COMPARE_AND_SET = _statement(
    "UPDATE activation.partition_lease AS lease SET stamp = new.stamp, next_offset = new.next_offset, "
    "last_append_ms = new.last_append_ms, out_seq = new.out_seq, published_seq = new.published_seq, "
    "clock_ms = new.clock_ms, last_event_at_ms = new.last_event_at_ms, holes = CAST(new.holes AS jsonb), "
    "hold_until_ms = new.hold_until_ms, sweep_after = new.sweep_after, counts = CAST(new.counts AS jsonb), "
    "updated_at = now() FROM :rows WHERE lease.part = new.part AND lease.stamp = new.known",
    part="int",
    known="uuid",
    stamp="uuid",
    next_offset="bigint",
    last_append_ms="bigint",
    out_seq="bigint",
    published_seq="bigint",
    clock_ms="bigint",
    last_event_at_ms="bigint",
    holes="text",
    hold_until_ms="bigint",
    sweep_after="text",
    counts="text",
)
UPSERT_ACCOUNTS = _statement(
    "INSERT INTO activation.account AS stored (account_id, part, next_check, facts, name, owner, last_event, "
    "active_days) "
    "SELECT account_id, part, next_check_ms, facts, name, owner, last_event, CAST(active_days AS jsonb) FROM :rows "
    "ON CONFLICT (account_id) DO UPDATE SET next_check = excluded.next_check, facts = excluded.facts, "
    "name = excluded.name, owner = excluded.owner, last_event = excluded.last_event, "
    "active_days = excluded.active_days, rev = stored.rev + 1 "
    "WHERE stored.part = excluded.part",
    account_id="text",
    part="int",
    next_check_ms="bigint",
    facts="bytea",
    name="text",
    owner="text",
    last_event="text",
    active_days="text",
)
UPSERT_PLANS = _statement(
    "INSERT INTO activation.account_plan (account_id, plan, version, status, reason, segment, started_at, "
    "first_value_at, activated_at, reached, features, closed_at, waiting_for, paused) "
    "SELECT account_id, plan, version, status, reason, segment, "
    "to_timestamp(started_at_ms / 1000.0), to_timestamp(first_value_at_ms / 1000.0), "
    "to_timestamp(activated_at_ms / 1000.0), CAST(reached AS jsonb), features, "
    "to_timestamp(closed_at_ms / 1000.0), waiting_for, CAST(paused AS int8multirange) FROM :rows "
    "ON CONFLICT (account_id, plan) DO UPDATE SET version = excluded.version, "
    "status = excluded.status, reason = excluded.reason, segment = excluded.segment, "
    "started_at = excluded.started_at, first_value_at = excluded.first_value_at, "
    "activated_at = excluded.activated_at, reached = excluded.reached, features = excluded.features, "
    "closed_at = excluded.closed_at, waiting_for = excluded.waiting_for, paused = excluded.paused",
    account_id="text",
    plan="text",
    version="int",
    status="text",
    reason="text",
    segment="text",
    started_at_ms="bigint",
    first_value_at_ms="bigint",
    activated_at_ms="bigint",
    reached="text",
    features="bytea",
    closed_at_ms="bigint",
    waiting_for="text",
    paused="text",
)
INSERT_LEDGER = _insert(
    "ledger",
    part="int",
    seq="bigint",
    id="uuid",
    account_id="text",
    type="text",
    payload="bytea",
    appended_ms="bigint",
    received_ms="bigint",
    traceparent="text",
)
UPSERT_NAMES = _statement(
    "INSERT INTO activation.event_name AS stored (part, name, count, first_seen_ms, last_seen_ms) "
    "SELECT part, name, count, first_ms, last_ms FROM :rows ON CONFLICT (part, name) DO UPDATE SET "
    "count = stored.count + excluded.count, last_seen_ms = greatest(stored.last_seen_ms, excluded.last_seen_ms)",
    part="int",
    name="text",
    count="bigint",
    first_ms="bigint",
    last_ms="bigint",
)
INSERT_DEAD_LETTERS = _insert(
    "dead_letter",
    part="int",
    offset="bigint",
    reason="text",
    detail="text",
    key="bytea",
    value="bytea",
    appended_ms="bigint",
)
INSERT_ADOPTIONS = _insert(
    "partition_plan",
    part="int",
    plan="text",
    version="int",
    from_offset="bigint",
    live_from_ms="bigint",
    policy="text",
)


def lease_arrays(leases: Sequence[tuple[UUID, Lease]]) -> Arrays:
    """For COMPARE_AND_SET: the stamp that the owner knows, and the lease to write."""
    written = [lease for _, lease in leases]
    plain = ("part", "stamp", "next_offset", "last_append_ms", "out_seq", "published_seq", "sweep_after")
    return {
        **_columns(written, *plain),
        **_columns([lease.clock for lease in written], "clock_ms", "last_event_at_ms", "hold_until_ms"),
        "known": [known for known, _ in leases],
        "holes": [_json(lease.clock.holes) for lease in written],
        "counts": [_json(lease.counts) for lease in written],
    }


def account_arrays(rows: Sequence[AccountRow]) -> Arrays:
    """For UPSERT_ACCOUNTS."""
    *plain, days = map(list, zip(*rows, strict=True))
    return {**dict(zip(AccountRow._fields, plain, strict=False)), "active_days": [_json(one) for one in days]}


def plan_arrays(rows: Sequence[tuple[str, PlanRow]]) -> Arrays:
    """For UPSERT_PLANS."""
    standings = [row for _, row in rows]
    plain = ("plan", "version", "status", "reason", "segment", "started_at_ms", "first_value_at_ms", "activated_at_ms")
    of_insights = ("features", "closed_at_ms", "waiting_for", "paused")
    return {
        **_columns(standings, *plain, *of_insights),
        "account_id": [account_id for account_id, _ in rows],
        "reached": [_json(row.reached) for row in standings],
    }


def ledger_arrays(rows: Sequence[LedgerRow]) -> Arrays:
    """For INSERT_LEDGER."""
    return {**arrays(rows), "id": [UUID(row.id) for row in rows]}


def arrays(rows: Sequence[LedgerRow | NameSeen | DeadLetter | Adoption]) -> Arrays:
    """For a statement whose arrays are the fields of these rows."""
    return _columns(rows, *(one.name for one in fields(rows[0])))


def _columns(rows: Sequence[object], *names: str) -> Arrays:
    return {name: [getattr(row, name) for row in rows] for name in names}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
