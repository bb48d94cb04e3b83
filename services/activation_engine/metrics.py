"""All metrics of the activation engine, in one typed place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.signals import ACCOUNT_TYPES
from services.activation_engine.batch import Outcome
from services.activation_engine.decoder import Reason
from services.activation_engine.store import Lease
from services.runtime.metrics import LATENCY_BUCKETS, SharedMetrics

OUTCOMES = ("applied", "unchanged", "redelivered", "dead_lettered")
STATUSES = ("not_started", "on_track", "at_risk", "stalled", "activated", "paused", "closed")
# Why a partition does not run: see `log_probe`, and `suspects` for the last.
STOPS = ("source_changed", "records_expired", "tail_lost", "recreated", "rows_refused")
_BATCH_SIZES = (1, 5, 20, 100, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
_LATENESS = (0.1, 1, 5, 10, 15, 30, 60, 300, 900, 3_600, 86_400)


class EngineMetrics:
    """Series of labels that are known in advance are exported at 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.shared = SharedMetrics(registry, service="engine")
        self.registry = registry
        self._make_intake(registry)
        self._make_results(registry)

    def _make_intake(self, registry: CollectorRegistry) -> None:
        self.batch_duration = Histogram(
            "firstvalue_engine_batch_duration_seconds",
            "From a batch's records to its commit.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.batch_events = Histogram(
            "firstvalue_engine_batch_events", "Records in a batch.", buckets=_BATCH_SIZES, registry=registry
        )
        self.lag_records = Gauge(
            "firstvalue_engine_lag_records", "Records not applied yet.", ["partition"], registry=registry
        )
        self.lag_seconds = Gauge(
            "firstvalue_engine_lag_seconds",
            "Age of the newest record applied while others wait, otherwise 0.",
            ["partition"],
            registry=registry,
        )
        self.clock_age = Gauge(
            "firstvalue_engine_clock_age_seconds",
            "Time since the newest tick of the partition.",
            ["partition"],
            registry=registry,
        )
        self.rebalances = Counter(
            "firstvalue_engine_rebalances", "Times that partitions were handed out.", registry=registry
        )
        self.assigned = Gauge("firstvalue_engine_assigned_partitions", "Partitions claimed.", registry=registry)
        self.stopped = Gauge(
            "firstvalue_engine_stopped_partitions",
            "Partitions that wait for an operator because the log is not the one that was applied.",
            ["reason"],
            registry=registry,
        )
        self.lease_conflicts = Counter(
            "firstvalue_engine_lease_conflicts", "Commits refused because another owner had claimed.", registry=registry
        )
        self.last_progress = Gauge(
            "firstvalue_engine_last_progress_timestamp_seconds", "When a batch was last committed.", registry=registry
        )
        for reason in STOPS:
            self.stopped.labels(reason)

    def _make_results(self, registry: CollectorRegistry) -> None:
        self.events = Counter("firstvalue_engine_events", "Records by outcome.", ["outcome"], registry=registry)
        self.late_events = Counter(
            "firstvalue_engine_late_events", "Events that took over five minutes to ingest.", registry=registry
        )
        self.phase_seconds = Counter(
            "firstvalue_engine_phase_cpu_seconds", "Processor time of batches by phase.", ["phase"], registry=registry
        )
        self.dirty_accounts = Counter("firstvalue_engine_dirty_accounts", "Account rows written.", registry=registry)
        self.dirty_ratio = Gauge(
            "firstvalue_engine_dirty_ratio", "Account rows written per record, last batch.", registry=registry
        )
        self.signals = Counter("firstvalue_engine_signals", "Signals by type.", ["type"], registry=registry)
        self.signals_known = Counter(
            "firstvalue_engine_signals_known", "Candidate signals that the ledger had already.", registry=registry
        )
        self.accounts = Gauge(
            "firstvalue_engine_accounts", "Accounts under plans by status.", ["status"], registry=registry
        )
        self.timer_lateness = Histogram(
            "firstvalue_engine_timer_lateness_seconds",
            "From a deadline to the tick at which it fired, the latest of each batch.",
            buckets=_LATENESS,
            registry=registry,
        )
        self.silent_names = Gauge(
            "firstvalue_engine_silent_event_names",
            "Event names that live plans use, that used to arrive daily and have stopped.",
            registry=registry,
        )
        self.unpublished = Gauge(
            "firstvalue_engine_ledger_unpublished", "Signals in the ledger and not yet on Kafka.", registry=registry
        )
        self.publish_failures = Counter(
            "firstvalue_engine_publish_failures", "Produce batches of signals that failed.", registry=registry
        )
        self.dead_letters = Counter(
            "firstvalue_dead_letters", "Records that can never be applied.", ["reason"], registry=registry
        )
        self.audit_differences = Gauge(
            "firstvalue_engine_audit_differences",
            "What the newest audit of this process found stored otherwise than the log says.",
            registry=registry,
        )
        _start_at_zero(self.events, OUTCOMES)
        _start_at_zero(self.phase_seconds, PHASES)
        _start_at_zero(self.signals, ACCOUNT_TYPES)
        _start_at_zero(self.dead_letters, tuple(Reason))
        for status in STATUSES:
            self.accounts.labels(status)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Count the processor time of a step of a batch."""
        phase = Phase()
        try:
            yield phase
        finally:
            self.phase_seconds.labels(name).inc(phase.cpu_seconds())

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
            if outcome.latest_check_ms is not None and outcome.clock.clock_ms is not None:
                self.timer_lateness.observe(max(0, outcome.clock.clock_ms - outcome.latest_check_ms) / 1000)
        self.batch_duration.observe(seconds)
        self.last_progress.set_to_current_time()
        self.dirty_accounts.inc(dirty)
        if records:
            self.batch_events.observe(records)
            self.dirty_ratio.set(dirty / records)

    def show_statuses(self, counts: Mapping[str, int]) -> None:
        """How many accounts have each status; one that is not among `counts` is nobody's any more."""
        for status in STATUSES:
            self.accounts.labels(status).set(counts.get(status, 0))

    def show_lag(self, held: Mapping[int, tuple[Lease, int | None]]) -> None:
        """How far each held partition is behind; the number is the offset after its newest record, None if unknown."""
        now = time.time()
        for part, (lease, end) in held.items():
            lag = 0 if end is None else max(0, end - lease.next_offset)
            age = now - lease.last_append_ms / 1000 if lag and lease.last_append_ms is not None else 0.0
            self.lag_records.labels(part).set(lag)
            self.lag_seconds.labels(part).set(max(0.0, age))
            if lease.clock.clock_ms is not None:
                self.clock_age.labels(part).set(now - lease.clock.clock_ms / 1000)

    def forget_partitions(self) -> None:
        """Report nothing about partitions that others own now."""
        for gauge in (self.lag_records, self.lag_seconds, self.clock_age):
            gauge.clear()

    def watch_relay(self, unpublished: Callable[[], int]) -> None:
        """Report the relay's backlog at every scrape."""
        self.unpublished.set_function(unpublished)


class Phase:
    """Processor time of this task alone: what others use while it rests is not counted."""

    def __init__(self) -> None:
        self._used = 0.0
        self._since = time.process_time()

    def cpu_seconds(self) -> float:
        """So far."""
        return self._used + time.process_time() - self._since

    async def rest(self) -> None:
        """Let other tasks run."""
        self._used = self.cpu_seconds()
        await asyncio.sleep(0)
        self._since = time.process_time()


PHASES = ("decode", "load", "fold", "encode", "commit")


def _start_at_zero(counter: Counter, labels: tuple[str, ...]) -> None:
    for label in labels:
        counter.labels(label)
