"""The queue of deliveries: claiming with leases, recording outcomes, returning what a dead process left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.notices import Notice
from services.notifier.domain.breaker import PAUSE_SECONDS
from services.notifier.domain.gate import GateChanges
from services.notifier.domain.outcome import NO_PHASES, Decision, Phases, Priority, Result
from services.notifier.store import queue_statements as statements
from services.notifier.store.gates import GateEvents, change_gates
from services.notifier.store.locks import KEEP_ENDPOINTS
from services.notifier.store.notices import GivenUp, add_notices, exhausted
from services.runtime.crash_points import crash_point

CLAIM_MAX = 32
# What an endpoint may have claimed at once that answers fast: about what it takes in a second.
CLAIM_FAST_MAX = 256
# Claimed deliveries that may wait in a process's memory over all endpoints, and the bytes of their bodies, which one
# claim may pass by a body. A signal has 1 to 2 KiB, and 64 KiB at most.
QUEUED_MAX = 4_096
QUEUED_BYTES_MAX = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process may attempt until its lease ends; `claim` tells this lease from any other. A `probe`
    is the one delivery with which an open breaker is tried.

    `held_up` tells that its endpoint could not be sent to all the time since it was owed: it was paused, disabled, full
    or outside its delivery window; or that it has a rate of its own, which may make any wait. `age_seconds`, at
    `claimed_at` (monotonic), is that of the delivery, or of its schedule if that began anew.
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
    held_up: bool = False

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

    async def claim(
        self, queued: Mapping[str, int], *, queued_bytes: int = 0, shares: Mapping[str, int] | None = None
    ) -> list[Claimed]:
        """Lease due deliveries: per endpoint its share (CLAIM_MAX if not given), over all QUEUED_MAX and
        QUEUED_BYTES_MAX, less what is `queued` here. Probes go with whatever bytes they have."""
        shares = shares or {}
        busy = sorted({*queued, *shares})
        parameters = {
            "most": max(QUEUED_MAX - sum(queued.values()), 0),
            "bytes_max": max(QUEUED_BYTES_MAX - queued_bytes, 0),
            "claim_max": CLAIM_MAX,
            "busy_ids": busy,
            "busy_counts": [queued.get(endpoint_id, 0) for endpoint_id in busy],
            "busy_shares": [shares.get(endpoint_id, CLAIM_MAX) for endpoint_id in busy],
            "lease_seconds": self._lease_seconds,
        }
        # Taken before the statement: the lease must not seem to last longer here than it does there.
        claimed_at = time.monotonic()
        async with self._engine.begin() as connection:
            rows = (await connection.execute(statements.CLAIM, parameters)).mappings().all()
        if rows:
            crash_point("notifier.claimed")
        return [Claimed(**row, claimed_at=claimed_at) for row in rows]

    async def release(self, claims: Sequence[Claimed]) -> None:
        """Give back leases unused; nothing is charged, and who was to be the probe is not waited for."""
        parameters = {"ids": [claim.id for claim in claims], "claims": [claim.claim for claim in claims]}
        async with self._engine.begin() as connection:
            await connection.execute(statements.RELEASE_PROBE, parameters)
            await connection.execute(statements.RELEASE, parameters)

    async def holds(self, claim: Claimed) -> bool:
        """Whether the lease is still this claim's: an erasure or a deletion cancels what is leased as well."""
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(statements.HOLDS, {"id": claim.id, "claim": claim.claim}))

    async def expire_leases(self) -> int:
        """Return to the queue what was leased and never came back; returns how many."""
        async with self._engine.begin() as connection:
            return len((await connection.execute(statements.EXPIRE)).all())

    async def record(self, outcomes: Sequence[Outcome], changes: GateChanges, *, again: bool = False) -> Recorded:
        """Attempts, schedules, gates and what is to be told of them in one commit. `again` after a failure: what was
        committed all the same holds no lease any more, and its gates have been changed."""
        async with self._engine.begin() as connection:
            # Endpoints, gates, deliveries: in the order in which switching and deleting an endpoint lock them.
            await connection.execute(KEEP_ENDPOINTS)
            if again and not await connection.scalar(statements.HOLDS_ANY, _leases(outcomes)):
                changes = GateChanges()
            gates = await change_gates(connection, changes, pause_seconds=self._pause_seconds)
            columns = _leases(outcomes) | _columns(outcomes, gates.opened)
            late = {(row.id, row.claim) for row in await connection.execute(statements.RECORD, columns)}
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


def _leases(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    return {
        "ids": [outcome.delivery.id for outcome in outcomes],
        "claims": [outcome.delivery.claim for outcome in outcomes],
    }


def _columns(outcomes: Sequence[Outcome], opened: Mapping[str, int]) -> dict[str, list[Any]]:
    """What failed at a URL that was replaced meanwhile is tried at the new one now, like all that failed before."""
    outdated = [outcome.revision < opened.get(outcome.delivery.endpoint_id, 0) for outcome in outcomes]
    return {
        "statuses": [outcome.decision.status.value for outcome in outcomes],
        "delays": [
            0.0 if old else outcome.decision.delay_seconds for old, outcome in zip(outdated, outcomes, strict=True)
        ],
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
