"""All metrics of the activation engine, in one typed place."""

from __future__ import annotations

import time
import types
from bisect import bisect_left
from collections.abc import Callable, Collection, Coroutine, Generator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from schemas.signals import ACCOUNT_TYPES
from services.activation_engine.batch import Outcome
from services.activation_engine.decoder import Reason, Record
from services.activation_engine.domain.account import STATUSES
from services.activation_engine.domain.encoding import STATE_BYTES_ALARM, STATE_BYTES_SOFT
from services.activation_engine.store import Lease
from services.runtime.metrics import RUNNING, Instruments, SharedMetrics, dead_letters

T = TypeVar("T")

OUTCOMES = ("applied", "unchanged", "redelivered", "dead_lettered")
# Why a partition does not run: see `log_probe`, and `suspects` for the last.
STOPS = ("source_changed", "records_expired", "tail_lost", "recreated", "rows_refused", "fold_failed")
PHASES = ("decode", "load", "fold", "encode", "commit")
# The objective: so soon after its append a record is applied.
FRESH_SECONDS = 60
_BATCH_SIZES = (1, 5, 20, 100, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
_LATENESS = (0.1, 1, 5, 10, 15, 30, 60, 300, 900, 3_600, 86_400)


class EngineMetrics:
    """Series of labels that are known in advance are exported at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = Instruments(registry)
        self.registry = registry
        self.described = make.described
        self.shared = SharedMetrics(make, service="engine")
        self.dead_letters = dead_letters(make, reasons=tuple(Reason))
        self._make_intake(make)
        self._make_ownership(make)
        self._make_results(make)
        self._make_signals(make)

    def _make_intake(self, make: Instruments) -> None:
        self.batch_duration = make.histogram(
            "firstvalue_engine_batch_duration_seconds", "From a batch's records to its commit."
        )
        self.batch_events = make.histogram("firstvalue_engine_batch_events", "Records in a batch.", _BATCH_SIZES)
        self.lag_records = make.gauge("firstvalue_engine_lag_records", "Records not applied yet.", partition=RUNNING)
        self.lag_seconds = make.gauge(
            "firstvalue_engine_lag_seconds",
            "Age of the newest record applied while others wait, otherwise 0.",
            partition=RUNNING,
        )
        self.clock_age = make.gauge(
            "firstvalue_engine_clock_age_seconds", "Time since the newest tick of the partition.", partition=RUNNING
        )
        self.last_progress = make.gauge(
            "firstvalue_engine_last_progress_timestamp_seconds",
            "When a batch was last committed; before the first, when the process started.",
        )
        self.last_progress.set_to_current_time()

    def _make_ownership(self, make: Instruments) -> None:
        self.rebalances = make.counter("firstvalue_engine_rebalances", "Times that partitions were handed out.")
        self.partitions = make.gauge("firstvalue_engine_partitions", "Partitions of the events topic.")
        self.assigned = make.gauge("firstvalue_engine_assigned_partitions", "Partitions claimed.")
        self.stopped = make.gauge(
            "firstvalue_engine_stopped_partitions",
            "Partitions that wait for an operator: their log is not the one that was applied, or a tick cannot be.",
            reason=STOPS,
        )
        self.lease_conflicts = make.counter(
            "firstvalue_engine_lease_conflicts", "Commits refused because another owner had claimed."
        )

    def _make_results(self, make: Instruments) -> None:
        self.events = make.counter("firstvalue_engine_events", "Records by outcome.", outcome=OUTCOMES)
        self.fresh_events = make.counter(
            "firstvalue_engine_fresh_events",
            f"Records by whether they were applied within {FRESH_SECONDS} s of their append.",
            fresh=("true", "false"),
        )
        self.late_events = make.counter(
            "firstvalue_engine_late_events", "Events that took over five minutes to ingest."
        )
        self.phase_seconds = make.counter(
            "firstvalue_engine_phase_cpu_seconds", "Processor time of batches by phase.", phase=PHASES
        )
        self.dirty_accounts = make.counter("firstvalue_engine_dirty_accounts", "Account rows written.")
        self.large_states = make.counter(
            "firstvalue_engine_large_states",
            "Account rows written with more bytes of state; above 2,000 they cost several times as much.",
            above_bytes=(str(STATE_BYTES_SOFT), str(STATE_BYTES_ALARM)),
        )
        self.dirty_ratio = make.gauge("firstvalue_engine_dirty_ratio", "Account rows written per record, last batch.")
        self.accounts = make.gauge("firstvalue_engine_accounts", "Accounts under plans by status.", status=STATUSES)
        self.timer_lateness = make.histogram(
            "firstvalue_engine_timer_lateness_seconds",
            "From when an account was due, if after the tick before, until it was looked at, the latest of each batch.",
            _LATENESS,
        )
        self.silent_names = make.gauge(
            "firstvalue_engine_silent_event_names",
            "Event names that live plans use, that used to arrive daily and have stopped.",
        )
        self.audit_differences = make.gauge(
            "firstvalue_engine_audit_differences",
            "What the newest audit found stored otherwise than the log says.",
        )

    def _make_signals(self, make: Instruments) -> None:
        self.signals = make.counter("firstvalue_engine_signals", "Signals by type.", type=ACCOUNT_TYPES)
        self.signals_known = make.counter(
            "firstvalue_engine_signals_known", "Candidate signals that the ledger had already."
        )
        self.unpublished = make.gauge(
            "firstvalue_engine_ledger_unpublished", "Signals in the ledger and not yet on Kafka."
        )
        self.publish_failures = make.counter(
            "firstvalue_engine_publish_failures", "Produce batches of signals that failed."
        )

    async def timed(self, phase: str, step: Coroutine[Any, Any, T]) -> T:
        """Run a step of a batch, and count the processor time of it alone, not of what others use while it waits."""
        return await _counted(step, self.phase_seconds.labels(phase).inc)

    def batch_done(self, outcomes: Sequence[tuple[Outcome, int]], *, records: int, seconds: float) -> None:
        """A batch is committed: its outcomes, each with the records that had been applied before."""
        dirty = 0
        for outcome, redelivered in outcomes:
            dirty += len(outcome.dirty)
            self.events.labels("applied").inc(outcome.applied)
            self.events.labels("unchanged").inc(outcome.unchanged)
            self.events.labels("redelivered").inc(redelivered)
            self.events.labels("dead_lettered").inc(len(outcome.dead_letters))
            self.late_events.inc(outcome.late)
            for letter in outcome.dead_letters:
                self.dead_letters.labels(letter.reason).inc()
            if outcome.latest_check_ms is not None:
                self.timer_lateness.observe(_age_seconds(outcome.latest_check_ms))
        self.batch_duration.observe(seconds)
        self.last_progress.set_to_current_time()
        self.dirty_accounts.inc(dirty)
        if records:
            self.batch_events.observe(records)
            self.dirty_ratio.set(dirty / records)

    def states_written(self, sizes: Collection[int]) -> None:
        """Account rows are committed, with states of so many bytes."""
        for limit in (STATE_BYTES_SOFT, STATE_BYTES_ALARM):
            self.large_states.labels(str(limit)).inc(sum(size > limit for size in sizes))

    def records_applied(self, records: Sequence[Record]) -> None:
        """Records of one partition are committed; they come in the order of their append times."""
        if records:
            stale = bisect_left(records, (time.time() - FRESH_SECONDS) * 1000, key=attrgetter("timestamp"))
            self.fresh_events.labels("false").inc(stale)
            self.fresh_events.labels("true").inc(len(records) - stale)

    def show_statuses(self, counts: Mapping[str, int]) -> None:
        """How many accounts have each status; one that is not among `counts` is nobody's any more."""
        for status in STATUSES:
            self.accounts.labels(status).set(counts.get(status, 0))

    def show_lag(self, held: Mapping[int, tuple[Lease, int | None]]) -> None:
        """How far each held partition is behind; the number is the offset after its newest record, None if unknown."""
        for part, (lease, end) in held.items():
            lag = 0 if end is None else max(0, end - lease.next_offset)
            since_ms = lease.last_append_ms if lag else None
            self.lag_records.labels(part).set(lag)
            # At the scrape and not now: of an engine that stands still the ages go on growing.
            self.lag_seconds.labels(part).set_function(partial(_age_seconds, since_ms))
            if lease.clock.clock_ms is not None:
                self.clock_age.labels(part).set_function(partial(_age_seconds, lease.clock.clock_ms))

    def forget_partitions(self) -> None:
        """Report nothing about partitions that others own now."""
        for gauge in (self.lag_records, self.lag_seconds, self.clock_age):
            gauge.clear()

    def watch_relay(self, unpublished: Callable[[], int]) -> None:
        """Report the relay's backlog at every scrape."""
        self.unpublished.set_function(unpublished)


@types.coroutine
def _counted(step: Coroutine[Any, Any, T], count: Callable[[float], None]) -> Generator[Any, Any, T]:
    """Await `step` and tell the processor time of each stretch that it runs."""
    thrown: BaseException | None = None
    while True:
        since = time.process_time()
        try:
            waits_for = step.send(None) if thrown is None else step.throw(thrown)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            count(time.process_time() - since)
        try:
            yield waits_for
            thrown = None
        except BaseException as error:  # noqa: BLE001 - thrown on into the step
            thrown = error


def _age_seconds(since_ms: int | None) -> float:
    return 0.0 if since_ms is None else max(0.0, time.time() - since_ms / 1000)
