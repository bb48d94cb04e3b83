"""The queue of deliveries: claiming with leases, recording outcomes, returning what a dead process left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.notices import Notice
from services.notifier.domain.breaker import PAUSE_SECONDS
from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import NO_PHASES, Decision, Phases, Priority, Result
from services.notifier.store.gates import GateEvents, change_gates
from services.notifier.store.locks import KEEP_ENDPOINTS
from services.notifier.store.notices import GivenUp, add_notices, exhausted
from services.runtime.crash_points import crash_point

CLAIM_MAX = 32
# What an endpoint may have claimed at once that answers fast: about what it takes in a second.
CLAIM_FAST_MAX = 256
# Claimed deliveries that may wait in a process's memory over all endpoints.
QUEUED_MAX = 4_096

# One index look-up per endpoint and priority, for endpoints that are enabled, open and have room: a long backlog takes
# no more than its share, an endpoint without due work costs microseconds. The limit ends the walk over priorities,
# lowest number first. Endpoints come in random order, so that the limit over all does not always leave out the same;
# probes come first, because their gates wait for them now.
# One with a rate gets no more than it may be sent in a quarter of the lease: none of its leases ends in the queue. One
# whose breaker was open gets its probe: one delivery, from one process.
_CLAIM = sa.text(
    """WITH probe AS (
        UPDATE notifier.endpoint_gate SET probe_until = now() + make_interval(secs => :lease_seconds)
        WHERE endpoint_id IN (
            SELECT g.endpoint_id FROM notifier.endpoint_gate g JOIN notifier.endpoint e ON e.id = g.endpoint_id
            WHERE g.trips > 0 AND g.not_before <= now() AND coalesce(g.probe_until <= now(), true)
                AND e.enabled AND (e.delivery_window IS NULL OR notifier.window_open(e.delivery_window, now()))
                AND EXISTS (SELECT 1 FROM notifier.delivery d
                    WHERE d.endpoint_id = g.endpoint_id AND d.status = 'pending' AND d.next_at <= now())
            FOR UPDATE OF g SKIP LOCKED)
        RETURNING endpoint_id
    ), candidate AS MATERIALIZED (
        SELECT e.id, e.revision, e.format, g.trips > 0 AS probe, CASE WHEN g.trips > 0 THEN 1 ELSE least(
                coalesce(busy.share, :claim_max),
                greatest(floor(coalesce(e.rate_per_second, 'infinity') * :lease_seconds / 4), 1)
            ) - coalesce(busy.queued, 0) END AS room
        FROM notifier.endpoint e
        JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id
        LEFT JOIN unnest(CAST(:busy_ids AS text[]), CAST(:busy_counts AS int[]), CAST(:busy_shares AS int[]))
            AS busy(id, queued, share) ON busy.id = e.id
        WHERE e.enabled AND g.not_before <= now()
            AND (e.delivery_window IS NULL OR notifier.window_open(e.delivery_window, now()))
            AND (g.trips = 0 OR e.id IN (SELECT endpoint_id FROM probe))
        ORDER BY g.trips = 0, random()
    ), due AS MATERIALIZED (
        SELECT candidate.revision, candidate.format, candidate.probe, waiting.id
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
    RETURNING d.id, d.endpoint_id, due.revision, due.probe, d.claim, d.attempts, d.failures, d.manual, d.priority,
        d.message_id, d.type, m.traceparent,
        CASE due.format WHEN 'slack' THEN coalesce(m.slack_body, m.body) ELSE m.body END AS body,
        extract(epoch FROM now() - m.received_at)::float8 AS received_age_seconds,
        extract(epoch FROM now() - m.occurred_at)::float8 AS occurred_age_seconds,
        extract(epoch FROM now() - coalesce(d.restarted_at, d.created_at))::float8 AS age_seconds"""
)
# A probe's gate waits for its lease, which began with it.
_RELEASE_PROBE = sa.text(
    """UPDATE notifier.endpoint_gate g SET probe_until = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS int[])) AS given(id, claim)
    JOIN notifier.delivery d ON d.id = given.id AND d.claim = given.claim AND d.status = 'leased'
    WHERE g.endpoint_id = d.endpoint_id AND g.probe_until = d.lease_until"""
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
# nothing, unless it is a success: that still spares the endpoint another attempt. A batch may hold two of one delivery,
# the late one and its successor's: one of them counts. A late answer is not kept, for the lease may have ended because
# the account was erased that the answer speaks of.
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
        FROM (SELECT DISTINCT ON (id) * FROM given ORDER BY id, status = 'succeeded' DESC, claim DESC) AS given
        WHERE d.id = given.id AND (
            (d.claim = given.claim AND d.status = 'leased')
            OR (given.status = 'succeeded' AND d.status IN ('pending', 'leased')))
        RETURNING d.id, given.claim
    ), logged AS (
        INSERT INTO notifier.attempt
            (delivery_id, at, number, trigger, result, status_code, duration_ms, response, error, late, resolve_ms,
            connect_ms, wait_ms)
        SELECT given.id, now() - make_interval(secs => given.age), given.number, given.trigger, given.result,
            given.status_code, given.duration, CASE WHEN updated.id IS NOT NULL THEN given.response END, given.error,
            updated.id IS NULL, given.resolve, given.connect, given.wait
        FROM given LEFT JOIN updated USING (id, claim)
    )
    SELECT id, claim FROM given EXCEPT SELECT id, claim FROM updated"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process may attempt until its lease ends; `claim` tells this lease from any other. A `probe`
    is the one delivery with which an open breaker is tried.

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
    received_age_seconds: float | None = None
    occurred_age_seconds: float | None = None
    priority: int = Priority.FIRST
    probe: bool = False

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
    """One attempt to record, made on its endpoint's terms of `revision`, which may be newer than the claim's;
    `since_start_seconds` is how long ago it began: the database's clock alone counts."""

    delivery: Claimed
    revision: int
    result: Result
    decision: Decision
    status_code: int | None
    duration_ms: int
    since_start_seconds: float
    response: bytes | None
    error: str | None
    phases: Phases = NO_PHASES


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a record changed: (delivery id, claim) of outcomes that came too late, gates, types of notices."""

    late: set[tuple[int, int]]
    gates: GateEvents
    told: tuple[str, ...]


class QueueStore:
    """One short transaction per call; none is open while a request is on the wire."""

    def __init__(self, engine: AsyncEngine, *, lease_seconds: float, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._pause_seconds = pause_seconds

    async def claim(self, queued: Mapping[str, int], *, shares: Mapping[str, int] | None = None) -> list[Claimed]:
        """Lease due deliveries: per endpoint its share (CLAIM_MAX if not given), over all QUEUED_MAX, less what is
        `queued` here."""
        shares = shares or {}
        busy = sorted({*queued, *shares})
        parameters = {
            "most": max(QUEUED_MAX - sum(queued.values()), 0),
            "claim_max": CLAIM_MAX,
            "busy_ids": busy,
            "busy_counts": [queued.get(endpoint_id, 0) for endpoint_id in busy],
            "busy_shares": [shares.get(endpoint_id, CLAIM_MAX) for endpoint_id in busy],
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
        """Give back leases unused; nothing is charged, and who was to be the probe is not waited for."""
        parameters = {"ids": [claim.id for claim in claims], "claims": [claim.claim for claim in claims]}
        async with self._engine.begin() as connection:
            await connection.execute(_RELEASE_PROBE, parameters)
            await connection.execute(_RELEASE, parameters)

    async def expire_leases(self) -> int:
        """Return to the queue what was leased and never came back; returns how many."""
        async with self._engine.begin() as connection:
            return len((await connection.execute(_EXPIRE)).all())

    async def record(self, outcomes: Sequence[Outcome], changes: GateChanges) -> Recorded:
        """Attempts, schedules, gates and what is to be told of them in one commit."""
        async with self._engine.begin() as connection:
            # Endpoints, gates, deliveries: in the order in which switching and deleting an endpoint lock them.
            await connection.execute(KEEP_ENDPOINTS)
            gates = await change_gates(connection, changes, pause_seconds=self._pause_seconds)
            late = {(row.id, row.claim) for row in await connection.execute(_RECORD, _columns(outcomes))}
            told = [*gates.announced, *_given_up(outcomes, late)]
            await add_notices(connection, told)
            crash_point("notifier.read_unrecorded")
        crash_point("notifier.recorded")
        return Recorded(late, gates, tuple(notice.type for notice in told))


def _given_up(outcomes: Sequence[Outcome], late: set[tuple[int, int]]) -> Iterator[Notice]:
    for outcome in outcomes:
        delivery, reason = outcome.delivery, outcome.decision.exhaustion
        if reason is not None and (delivery.id, delivery.claim) not in late:
            notice = exhausted(
                GivenUp(
                    delivery_id=delivery.id,
                    endpoint_id=delivery.endpoint_id,
                    signal_id=delivery.message_id,
                    type=delivery.type,
                    attempts=delivery.attempts + 1,
                    reason=reason.value,
                    result=outcome.result.value,
                )
            )
            if notice is not None:
                yield notice


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
