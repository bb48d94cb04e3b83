"""Gates: whether an endpoint may be sent to now. Retry-After and the breaker close one, a success opens it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.notices import Notice
from services.notifier.domain.breaker import FAILURES_IN_ROW_MAX, PAUSE_GROWTH_MAX
from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import Priority
from services.notifier.store import notices
from services.notifier.store.locks import KEEP_ENDPOINTS

# Rows that one statement pulls forward.
PULLED_MAX = 5_000

# All at once and in order: two replicas that record attempts at the same endpoints would else lock each other out.
# The gate of an endpoint that is well and stays so is not touched.
_LOCK = sa.text(
    """SELECT endpoint_id, failing_since, trips, announced, opened_revision FROM notifier.endpoint_gate
    WHERE endpoint_id = ANY(CAST(:touched AS text[]))
        OR (endpoint_id = ANY(CAST(:succeeded AS text[])) AND failing_since IS NOT NULL)
    ORDER BY endpoint_id FOR UPDATE"""
)
# A success where the breaker was open opens the gate and calls what waits; Retry-After alone is waited out. Since when
# the gate is open stays known: what was owed before was held up by it.
_CLEAR = sa.text(
    """UPDATE notifier.endpoint_gate SET failures = 0, failing_since = NULL, last_failed_at = NULL, announced = 0,
        trips = 0, probe_until = NULL,
        not_before = CASE WHEN trips > 0 THEN now() ELSE not_before END,
        pull_before = CASE WHEN trips > 0 THEN now() ELSE pull_before END
    WHERE endpoint_id = ANY(CAST(:ids AS text[])) AND failing_since IS NOT NULL"""
)
# What comes in while the gate is closed was on the wire before: it opens no breaker and makes no pause longer.
_COUNT = sa.text(
    f"""UPDATE notifier.endpoint_gate g
    SET failures = g.failures + given.failures, failing_since = coalesce(g.failing_since, now()),
        last_failed_at = now(), trips = g.trips + given.trips,
        probe_until = CASE WHEN given.trips = 0 THEN g.probe_until END,
        not_before = CASE WHEN given.trips = 0 THEN g.not_before ELSE now() + make_interval(
            secs => :pause_seconds * least(2 ^ least(g.trips, 10), {PAUSE_GROWTH_MAX})) END
    FROM (
        SELECT one.id, one.failures, CASE WHEN old.not_before <= now() AND (old.trips > 0 OR one.tripping
            OR old.failures + one.failures >= {FAILURES_IN_ROW_MAX}) THEN 1 ELSE 0 END AS trips
        FROM unnest(CAST(:ids AS text[]), CAST(:failures AS int[]), CAST(:tripping AS bool[]))
            AS one(id, failures, tripping)
        JOIN notifier.endpoint_gate old ON old.endpoint_id = one.id
    ) AS given
    WHERE g.endpoint_id = given.id RETURNING g.endpoint_id, given.trips > 0 AS tripped"""  # noqa: S608 - constants
)
_CLOSE = sa.text(
    """UPDATE notifier.endpoint_gate g
    SET not_before = greatest(g.not_before, now() + make_interval(secs => given.seconds))
    FROM unnest(CAST(:ids AS text[]), CAST(:seconds AS float8[])) AS given(id, seconds)
    WHERE g.endpoint_id = given.id"""
)
# One that was changed since it was attempted is not what said it is gone.
_DISABLE = sa.text(
    """UPDATE notifier.endpoint e
    SET enabled = false, disabled_reason = :reason, revision = e.revision + 1, updated_at = now()
    FROM unnest(CAST(:ids AS text[]), CAST(:revisions AS bigint[])) AS given(id, revision)
    JOIN notifier.endpoint_gate g ON g.endpoint_id = given.id
    WHERE e.id = given.id AND e.revision = given.revision AND e.enabled
    RETURNING e.id, e.revision, g.failing_since"""
)
# Only what had failed before the recovery: a delivery that fails now keeps to its schedule. In order of age.
_PULL = sa.text(
    f"""WITH recovered AS MATERIALIZED (
        SELECT endpoint_id, pull_before FROM notifier.endpoint_gate WHERE pull_before IS NOT NULL
        ORDER BY endpoint_id FOR UPDATE SKIP LOCKED
    ), waiting AS MATERIALIZED (
        SELECT each.id, each.endpoint_id, row_number() OVER (ORDER BY each.id) AS place
        FROM recovered CROSS JOIN LATERAL (
            SELECT d.id, d.endpoint_id FROM notifier.delivery d
            WHERE d.endpoint_id = recovered.endpoint_id AND d.status = 'pending' AND d.priority = {Priority.RETRY}
                AND d.next_at > now() + interval '1 second' AND d.last_attempt_at < recovered.pull_before
            ORDER BY d.id LIMIT {PULLED_MAX} FOR UPDATE SKIP LOCKED
        ) AS each
    ), done AS (
        UPDATE notifier.endpoint_gate g SET pull_before = NULL FROM recovered
        WHERE g.endpoint_id = recovered.endpoint_id
            AND (SELECT count(*) FROM waiting w WHERE w.endpoint_id = g.endpoint_id) < {PULLED_MAX}
    )
    UPDATE notifier.delivery d SET next_at = now() + waiting.place * interval '1 microsecond'
    FROM waiting WHERE d.id = waiting.id"""  # noqa: S608 - constants
)
_FAILING = sa.text(
    """SELECT endpoint_id, failing_since, stage FROM (
        SELECT g.endpoint_id, g.failing_since, g.announced, CASE
            WHEN g.failing_since <= now() - interval '72 hours' THEN 3
            WHEN g.failing_since <= now() - interval '24 hours' THEN 2
            WHEN g.failing_since <= now() - interval '1 hour' THEN 1 ELSE 0 END AS stage
        FROM notifier.endpoint_gate g JOIN notifier.endpoint e ON e.id = g.endpoint_id
        WHERE g.failing_since IS NOT NULL AND e.enabled
    ) AS standing WHERE announced < stage ORDER BY endpoint_id"""
)
_ANNOUNCED = sa.text(
    """UPDATE notifier.endpoint_gate SET announced = :stage
    WHERE endpoint_id = :id AND failing_since = :failing_since AND announced < :stage RETURNING endpoint_id"""
)
# Five days without a success, failures at least twelve hours apart, of at least three messages.
_HOPELESS = sa.text(
    """SELECT e.id, e.revision FROM notifier.endpoint_gate g JOIN notifier.endpoint e ON e.id = g.endpoint_id
    WHERE e.enabled AND g.failing_since <= now() - interval '5 days'
        AND g.last_failed_at >= g.failing_since + interval '12 hours'
        AND (SELECT count(*) FROM (
            SELECT 1 FROM notifier.delivery d
            WHERE d.endpoint_id = g.endpoint_id AND d.status <> 'succeeded' AND d.last_attempt_at >= g.failing_since
            LIMIT 3) AS failed) >= 3
    ORDER BY g.endpoint_id"""
)


@dataclass(frozen=True, slots=True)
class GateEvents:
    """What became of gates: `closed` ones, `tripped` ones (their breaker opened, also again after a probe), `recovered`
    ones (it was open), and what is to be announced. `opened` has the endpoints' revisions at which gates were last
    opened by hand, of those that could be changed."""

    closed: set[str] = field(default_factory=set)
    tripped: set[str] = field(default_factory=set)
    recovered: set[str] = field(default_factory=set)
    announced: list[Notice] = field(default_factory=list)
    opened: dict[str, int] = field(default_factory=dict)


async def change_gates(connection: AsyncConnection, changes: GateChanges, *, pause_seconds: float) -> GateEvents:
    """Apply what a batch of attempts changes; the transaction holds KEEP_ENDPOINTS."""
    events = GateEvents()
    await _disable(connection, "gone", changes.disabled, events)
    touched = sorted({*changes.closed_seconds, *changes.failures})
    locked = (await connection.execute(_LOCK, {"touched": touched, "succeeded": sorted(changes.succeeded)})).all()
    events.opened.update((row.endpoint_id, row.opened_revision) for row in locked)
    changes = changes.since(events.opened)
    well = [row for row in locked if row.endpoint_id in changes.succeeded and row.failing_since is not None]
    if well:
        await connection.execute(_CLEAR, {"ids": [row.endpoint_id for row in well]})
        events.recovered.update(row.endpoint_id for row in well if row.trips)
        events.announced.extend(notices.recovered(row.endpoint_id, row.failing_since) for row in well if row.announced)
    if changes.failures:
        ids = list(changes.failures)
        given = {
            "ids": ids,
            "failures": list(changes.failures.values()),
            "tripping": [endpoint_id in changes.tripping for endpoint_id in ids],
            "pause_seconds": pause_seconds,
        }
        counted = (await connection.execute(_COUNT, given)).all()
        events.tripped.update(row.endpoint_id for row in counted if row.tripped)
        events.closed.update(events.tripped)
    if changes.closed_seconds:
        closed = changes.closed_seconds
        await connection.execute(_CLOSE, {"ids": list(closed), "seconds": list(closed.values())})
        events.closed.update(closed)
    return events


async def _disable(connection: AsyncConnection, reason: str, revisions: Mapping[str, int], events: GateEvents) -> None:
    if revisions:
        given = {"ids": list(revisions), "revisions": list(revisions.values()), "reason": reason}
        rows = (await connection.execute(_DISABLE, given)).all()
        events.closed.update(row.id for row in rows)
        events.announced.extend(notices.disabled(row.id, reason, row.failing_since, row.revision) for row in rows)


class GateStore:
    """What happens to gates with time, none of it on the way of a delivery."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def pull_forward(self) -> int:
        """Make due what waits for endpoints that have recovered, the oldest first; returns how many, bounded."""
        async with self._engine.begin() as connection:
            return (await connection.execute(_PULL)).rowcount

    async def announce_failing(self) -> list[tuple[str, datetime]]:
        """Tell of endpoints that have failed for 1, 24, 72 hours, each once; returns them."""
        async with self._engine.begin() as connection:
            await connection.execute(KEEP_ENDPOINTS)
            told: list[Notice] = []
            found: list[tuple[str, datetime]] = []
            for row in (await connection.execute(_FAILING)).all():
                given = {"id": row.endpoint_id, "failing_since": row.failing_since, "stage": row.stage}
                if await connection.scalar(_ANNOUNCED, given) is not None:
                    told.append(notices.failing(row.endpoint_id, row.failing_since, row.stage))
                    found.append((row.endpoint_id, row.failing_since))
            await notices.add_notices(connection, told)
        return found

    async def disable_hopeless(self) -> set[str]:
        """Disable endpoints that nothing has reached for five days; returns them."""
        async with self._engine.begin() as connection:
            await connection.execute(KEEP_ENDPOINTS)
            events = GateEvents()
            hopeless = {row.id: row.revision for row in await connection.execute(_HOPELESS)}
            await _disable(connection, "failing", hopeless, events)
            await notices.add_notices(connection, events.announced)
        return events.closed
