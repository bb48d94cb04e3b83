"""Records outcomes in batches: attempt, next time and gate in one commit, before anything else is believed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.notifier.domain.breaker import Windows
from services.notifier.domain.gate import gate_changes
from services.notifier.domain.outcome import Result, Status, decide
from services.notifier.domain.schedule import Schedule
from services.notifier.metrics import NotifierMetrics
from services.notifier.sender.client import Attempt
from services.notifier.sender.request import trace_id
from services.notifier.store.queue import Claimed, Outcome, QueueStore
from services.runtime.health import Health
from services.runtime.postgres import is_transient

log = structlog.get_logger(__name__)

BATCH_MAX = 200
BATCH_SECONDS = 0.02
# Outcomes that may wait while the database is away; half of it ends claiming.
WAITING_MAX = 2_000
_BACKOFF_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0)


class OutcomeWriter:
    """The worker; `put` waits when too much is unrecorded."""

    def __init__(
        self,
        *,
        queue: QueueStore,
        schedule: Schedule,
        metrics: NotifierMetrics,
        health: Health,
        on_closed: Callable[[Collection[str]], Awaitable[None]],
        on_recovered: Callable[[], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._schedule = schedule
        self._metrics = metrics
        self._health = health
        self._on_closed = on_closed
        self._on_recovered = on_recovered
        self._chance = chance
        self._windows = Windows()
        self._waiting: asyncio.Queue[Attempt] = asyncio.Queue(WAITING_MAX)

    @property
    def congested(self) -> bool:
        """Whether so much is unrecorded that nothing more should be attempted."""
        return self._waiting.qsize() > WAITING_MAX // 2

    async def put(self, attempt: Attempt) -> None:
        """Hand in an attempt for recording."""
        await self._waiting.put(attempt)

    async def flush(self) -> None:
        """Return when everything handed in is recorded."""
        await self._waiting.join()

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            self._health.beat("outcomes")
            batch = await self._next_batch()
            if batch:
                await self._record([self._decided(attempt) for attempt in batch])
                for _ in batch:
                    self._waiting.task_done()

    async def _next_batch(self) -> list[Attempt]:
        """Up to BATCH_MAX attempts, gathered for at most BATCH_SECONDS after the first."""
        try:
            batch = [await asyncio.wait_for(self._waiting.get(), 1.0)]
        except TimeoutError:
            return []
        until = time.monotonic() + BATCH_SECONDS
        while len(batch) < BATCH_MAX:
            if self._waiting.empty():
                left = until - time.monotonic()
                if left <= 0:
                    break
                await asyncio.sleep(min(left, BATCH_SECONDS / 4))
                continue
            batch.append(self._waiting.get_nowait())
        return batch

    def _decided(self, attempt: Attempt) -> Outcome:
        delivery = attempt.delivery
        now = time.monotonic()
        decision = decide(
            attempt.answer,
            failures=delivery.failures,
            age_seconds=delivery.age_seconds + now - delivery.claimed_at,
            schedule=self._schedule.with_slots(attempt.slots_seconds),
            chance=self._chance(),
        )
        return Outcome(
            delivery=delivery,
            revision=attempt.revision,
            result=attempt.answer.result,
            decision=decision,
            status_code=attempt.status_code,
            duration_ms=round(attempt.duration_seconds * 1000),
            since_start_seconds=now - attempt.started_at,
            response=attempt.response,
            error=attempt.error,
            phases=attempt.phases,
        )

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        changes = gate_changes(
            (each.delivery.endpoint_id, each.revision, each.result, each.decision) for each in outcomes
        )
        changes.tripping.update(self._tripping(outcomes))
        failures = 0
        while True:
            try:
                recorded = await self._queue.record(outcomes, changes, again=failures > 0)
                break
            except (SQLAlchemyError, OSError) as error:
                # A COMMIT whose answer was lost may have happened: then the repeat finds no lease and is only logged.
                if not is_transient(error):
                    raise
                log.warning("record_failed", error=type(error).__name__, outcomes=len(outcomes))
            self._health.beat("outcomes")
            await asyncio.sleep(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)])
            failures += 1
        for outcome in outcomes:
            self._report(outcome, late=(outcome.delivery.id, outcome.delivery.claim) in recorded.late)
        for signal_type in recorded.told:
            self._metrics.notices.labels(signal_type).inc()
        self._metrics.breaker_transitions.labels("half_open").inc(sum(each.delivery.probe for each in outcomes))
        self._metrics.breaker_transitions.labels("open").inc(len(recorded.gates.tripped))
        self._metrics.breaker_transitions.labels("closed").inc(len(recorded.gates.recovered))
        if recorded.gates.closed:
            await self._on_closed(recorded.gates.closed)
        if recorded.gates.recovered:
            self._on_recovered()

    def _tripping(self, outcomes: Sequence[Outcome]) -> Iterator[str]:
        """Endpoints of whose newest attempts, as this process knows them, half have failed now."""
        for each in outcomes:
            if each.result is not Result.INTERNAL:
                endpoint_id, failed = each.delivery.endpoint_id, each.result is not Result.HTTP_2XX
                if self._windows.add(endpoint_id, failed=failed, revision=each.revision):
                    yield endpoint_id

    def _arrived(self, delivery: Claimed) -> None:
        waited = time.monotonic() - delivery.claimed_at
        received, occurred = delivery.received_age_seconds, delivery.occurred_age_seconds
        self._metrics.arrived(
            delivery.type,
            received_seconds=None if received is None else received + waited,
            occurred_seconds=None if occurred is None else occurred + waited,
            trace_id=trace_id(delivery),
        )

    def _report(self, outcome: Outcome, *, late: bool) -> None:
        delivery, decision = outcome.delivery, outcome.decision
        age_seconds = delivery.age_seconds + time.monotonic() - delivery.claimed_at
        self._metrics.attempts.labels(outcome.result.value, delivery.trigger).inc()
        if late:
            self._metrics.late_outcomes.inc()
        else:
            self._metrics.deliveries.labels(decision.status.value).inc()
        if decision.status is Status.SUCCEEDED:
            self._metrics.delivery_latency_seconds.observe(age_seconds)
            if delivery.trigger in ("first", "retry"):
                self._arrived(delivery)
            self._metrics.settled(delivery.endpoint_id, delivered=True)
        if decision.exhaustion is not None and not late:
            self._metrics.exhausted.labels(decision.exhaustion.value).inc()
            self._metrics.settled(delivery.endpoint_id, delivered=False)
        if delivery.trigger == "first" and not delivery.held_up:
            accepted = delivery.received_age_seconds or delivery.age_seconds
            self._metrics.first_attempt_delay_seconds.observe(accepted + age_seconds - delivery.age_seconds)
        _log(outcome, late=late)


def _log(outcome: Outcome, *, late: bool) -> None:
    """What did not succeed is told without being asked for."""
    delivery, decision = outcome.delivery, outcome.decision
    write = log.debug if outcome.result is Result.HTTP_2XX else log.info
    write(
        "attempt",
        delivery=delivery.id,
        signal=delivery.message_id,
        type=delivery.type,
        endpoint=delivery.endpoint_id,
        number=delivery.attempts + 1,
        trigger=delivery.trigger,
        result=outcome.result.value,
        status_code=outcome.status_code,
        duration_ms=outcome.duration_ms,
        error=outcome.error,
        became=decision.status.value,
        again_in_seconds=round(decision.delay_seconds, 1),
        late=late,
    )
