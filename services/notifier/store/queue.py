"""The queue of deliveries: claiming with leases, recording outcomes, returning what a dead process left behind."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import NO_PHASES, Decision, Phases, Priority, Result
from services.runtime.crash_points import crash_point

CLAIM_MAX = 32
# Claimed deliveries that may wait in a process's memory over all endpoints.
QUEUED_MAX = 4_096

# One index probe per endpoint and priority, for endpoints that are enabled, open and have room: one with a long backlog
# takes no more than its share, one without due work costs microseconds. The limit ends the walk over priorities, lowest
# number first. Endpoints in random order, so that the same are not always those which the limit over all leaves out.
# One with a rate gets no more than it may be sent in a quarter of the lease: none of its leases ends in the queue.
_CLAIM = sa.text(
    """WITH candidate AS MATERIALIZED (
        SELECT e.id, e.revision, least(
                :claim_max, greatest(floor(coalesce(e.rate_per_second, 'infinity') * :lease_seconds / 4), 1)
            ) - coalesce(busy.queued, 0) AS room
        FROM notifier.endpoint e
        JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id
        LEFT JOIN unnest(CAST(:busy_ids AS text[]), CAST(:busy_counts AS int[])) AS busy(id, queued) ON busy.id = e.id
        WHERE e.enabled AND g.not_before <= now() AND notifier.window_open(e.delivery_window, now())
        ORDER BY random()
    ), due AS MATERIALIZED (
        SELECT candidate.revision, waiting.id
        FROM candidate CROSS JOIN LATERAL (
            SELECT ready.id FROM (VALUES (0), (1), (2)) AS class(priority) CROSS JOIN LATERAL (
                SELECT d.id FROM notifier.delivery d
                WHERE d.endpoint_id = candidate.id AND d.priority = class.priority AND d.status = 'pending'
                    AND d.next_at <= now()
                ORDER BY d.next_at LIMIT greatest(candidate.room::bigint, 0)
                FOR UPDATE SKIP LOCKED
            ) AS ready
            LIMIT greatest(candidate.room::bigint, 0)
        ) AS waiting
        LIMIT :most
    )
    UPDATE notifier.delivery d
    SET status = 'leased', claim = d.claim + 1, lease_until = now() + make_interval(secs => :lease_seconds)
    FROM due, notifier.message m
    WHERE d.id = due.id AND m.id = d.message_id
    RETURNING d.id, d.endpoint_id, due.revision, d.claim, d.attempts, d.failures, d.manual, d.priority,
        d.message_id, d.type, m.traceparent, m.body,
        extract(epoch FROM now() - coalesce(d.restarted_at, d.created_at))::float8 AS age_seconds"""
)
_RELEASE = sa.text(
    """UPDATE notifier.delivery d SET status = 'pending', lease_until = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS int[])) AS given(id, claim)
    WHERE d.id = given.id AND d.claim = given.claim AND d.status = 'leased'"""
)
_EXPIRE = sa.text(
    """UPDATE notifier.delivery SET status = 'pending', lease_until = NULL, next_at = now()
    WHERE id IN (SELECT id FROM notifier.delivery WHERE status = 'leased' AND lease_until < now()
        ORDER BY lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)
# An outcome belongs to the claim it was made under; when the lease ended meanwhile it is logged as late and changes
# nothing, unless it is a success: that still spares the endpoint another attempt. A late answer is not kept, for the
# lease may have ended because the account was erased that the answer speaks of.
_RECORD = sa.text(
    """WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS bigint[]), CAST(:claims AS int[]), CAST(:statuses AS text[]), CAST(:delays AS float8[]),
            CAST(:counted AS int[]), CAST(:ages AS float8[]), CAST(:numbers AS int[]), CAST(:triggers AS text[]),
            CAST(:results AS text[]), CAST(:status_codes AS int[]), CAST(:durations AS int[]),
            CAST(:responses AS bytea[]), CAST(:errors AS text[]), CAST(:resolves AS int[]), CAST(:connects AS int[]),
            CAST(:waits AS int[])
        ) AS g(id, claim, status, delay, counted, age, number, trigger, result, status_code, duration, response, error,
            resolve, connect, wait)
    ), updated AS (
        UPDATE notifier.delivery d
        SET status = given.status, attempts = d.attempts + 1, failures = d.failures + given.counted, manual = false,
            lease_until = NULL, last_attempt_at = now(), priority = greatest(d.priority, 1),
            next_at = CASE WHEN given.status = 'pending' THEN now() + make_interval(secs => given.delay) END
        FROM given
        WHERE d.id = given.id AND (
            (d.claim = given.claim AND d.status = 'leased')
            OR (given.status = 'succeeded' AND d.status IN ('pending', 'leased')))
        RETURNING d.id
    )
    INSERT INTO notifier.attempt
        (delivery_id, at, number, trigger, result, status_code, duration_ms, response, error, late, resolve_ms,
        connect_ms, wait_ms)
    SELECT given.id, now() - make_interval(secs => given.age), given.number, given.trigger, given.result,
        given.status_code, given.duration, CASE WHEN updated.id IS NOT NULL THEN given.response END, given.error,
        updated.id IS NULL, given.resolve, given.connect, given.wait
    FROM given LEFT JOIN updated ON updated.id = given.id
    RETURNING delivery_id, late"""
)
# All at once and in order: two replicas that record attempts at the same endpoints would else lock each other out.
# The gate of an endpoint that is well and stays so is not touched.
_LOCK_GATES = sa.text(
    """SELECT endpoint_id FROM notifier.endpoint_gate
    WHERE endpoint_id = ANY(CAST(:touched AS text[]))
        OR (endpoint_id = ANY(CAST(:succeeded AS text[])) AND failing_since IS NOT NULL)
    ORDER BY endpoint_id FOR UPDATE"""
)
_CLOSE_GATES = sa.text(
    """UPDATE notifier.endpoint_gate g
    SET not_before = greatest(g.not_before, now() + make_interval(secs => given.seconds))
    FROM unnest(CAST(:ids AS text[]), CAST(:seconds AS float8[])) AS given(id, seconds)
    WHERE g.endpoint_id = given.id"""
)
_COUNT_FAILURES = sa.text(
    """UPDATE notifier.endpoint_gate g
    SET failures = g.failures + given.failures, failing_since = coalesce(g.failing_since, now())
    FROM unnest(CAST(:ids AS text[]), CAST(:failures AS int[])) AS given(id, failures)
    WHERE g.endpoint_id = given.id"""
)
_CLEAR_FAILURES = sa.text(
    """UPDATE notifier.endpoint_gate SET failures = 0, failing_since = NULL
    WHERE endpoint_id = ANY(CAST(:ids AS text[])) AND failing_since IS NOT NULL"""
)
_DISABLE_GONE = sa.text(
    """UPDATE notifier.endpoint
    SET enabled = false, disabled_reason = 'gone', revision = revision + 1, updated_at = now()
    WHERE id = ANY(CAST(:ids AS text[])) AND enabled"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process may attempt until its lease ends; `claim` tells this lease from any other.

    `age_seconds`, at `claimed_at` (monotonic), is that of the delivery, or of its schedule if that began anew.
    """

    id: int
    endpoint_id: str
    revision: int
    claim: int
    attempts: int
    failures: int
    manual: bool
    message_id: str
    type: str
    traceparent: str | None
    body: bytes
    age_seconds: float
    claimed_at: float
    priority: int = Priority.FIRST

    @property
    def trigger(self) -> str:
        """Why it is attempted now: `first`, `retry`, `manual` or `replay`."""
        if self.priority == Priority.REPLAY:
            return "replay"
        if self.manual:
            return "manual"
        return "retry" if self.attempts else "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One attempt to record; `since_start_seconds` is how long ago it began: the database's clock alone counts."""

    delivery: Claimed
    result: Result
    decision: Decision
    status_code: int | None
    duration_ms: int
    since_start_seconds: float
    response: bytes | None
    error: str | None
    phases: Phases = NO_PHASES


class QueueStore:
    """One short transaction per call; none is open while a request is on the wire."""

    def __init__(self, engine: AsyncEngine, *, lease_seconds: float) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds

    async def claim(self, queued: Mapping[str, int]) -> list[Claimed]:
        """Lease due deliveries: per endpoint at most CLAIM_MAX, over all QUEUED_MAX, less what is `queued` here."""
        parameters = {
            "most": max(QUEUED_MAX - sum(queued.values()), 0),
            "claim_max": CLAIM_MAX,
            "busy_ids": list(queued),
            "busy_counts": list(queued.values()),
            "lease_seconds": self._lease_seconds,
        }
        # Taken before the statement: the lease must not seem to last longer here than it does there.
        claimed_at = time.monotonic()
        async with self._engine.begin() as connection:
            rows = (await connection.execute(_CLAIM, parameters)).mappings().all()
        if rows:
            crash_point("notifier.claimed")
        return [Claimed(**row, claimed_at=claimed_at) for row in rows]

    async def release(self, claims: Sequence[Claimed]) -> None:
        """Give back leases unused; nothing is charged."""
        parameters = {"ids": [claim.id for claim in claims], "claims": [claim.claim for claim in claims]}
        async with self._engine.begin() as connection:
            await connection.execute(_RELEASE, parameters)

    async def expire_leases(self) -> int:
        """Return to the queue what was leased and never came back; returns how many."""
        async with self._engine.begin() as connection:
            return len((await connection.execute(_EXPIRE)).all())

    async def record(self, outcomes: Sequence[Outcome], changes: GateChanges) -> set[int]:
        """Attempts, schedules and gates in one commit; returns the ids of deliveries whose outcome came too late."""
        async with self._engine.begin() as connection:
            # Endpoint, gate, deliveries: in the order in which switching and deleting an endpoint lock them.
            if changes.disabled:
                await connection.execute(_DISABLE_GONE, {"ids": sorted(changes.disabled)})
            await _change_gates(connection, changes)
            rows = (await connection.execute(_RECORD, _columns(outcomes))).all()
            crash_point("notifier.read_unrecorded")
        crash_point("notifier.recorded")
        return {row.delivery_id for row in rows if row.late}


def _columns(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    return {
        "ids": [outcome.delivery.id for outcome in outcomes],
        "claims": [outcome.delivery.claim for outcome in outcomes],
        "statuses": [outcome.decision.status.value for outcome in outcomes],
        "delays": [outcome.decision.delay_seconds for outcome in outcomes],
        "counted": [int(outcome.decision.counts) for outcome in outcomes],
        "ages": [outcome.since_start_seconds for outcome in outcomes],
        "numbers": [outcome.delivery.attempts + 1 for outcome in outcomes],
        "triggers": [outcome.delivery.trigger for outcome in outcomes],
        "results": [outcome.result.value for outcome in outcomes],
        "status_codes": [outcome.status_code for outcome in outcomes],
        "durations": [outcome.duration_ms for outcome in outcomes],
        "responses": [outcome.response for outcome in outcomes],
        "errors": [outcome.error for outcome in outcomes],
        "resolves": [outcome.phases.resolve_ms for outcome in outcomes],
        "connects": [outcome.phases.connect_ms for outcome in outcomes],
        "waits": [outcome.phases.wait_ms for outcome in outcomes],
    }


async def _change_gates(connection: AsyncConnection, changes: GateChanges) -> None:
    touched = sorted({*changes.closed_seconds, *changes.failures})
    parameters = {"touched": touched, "succeeded": sorted(changes.succeeded)}
    if not (await connection.execute(_LOCK_GATES, parameters)).all():
        return
    if changes.closed_seconds:
        closed = changes.closed_seconds
        await connection.execute(_CLOSE_GATES, {"ids": list(closed), "seconds": list(closed.values())})
    if changes.failures:
        failed = changes.failures
        await connection.execute(_COUNT_FAILURES, {"ids": list(failed), "failures": list(failed.values())})
    if changes.succeeded:
        await connection.execute(_CLEAR_FAILURES, {"ids": parameters["succeeded"]})
