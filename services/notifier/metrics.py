"""Every metric of the notifier, in one typed place; all series are exported from the start, at 0."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry

from schemas.notices import NOTICE_TYPES
from schemas.signals import ACCOUNT_TYPES
from services.notifier.domain.addresses import Tier
from services.notifier.domain.endpoint_limit import remember
from services.notifier.domain.outcome import Exhaustion, Result, Status
from services.runtime.metrics import OTHER, RUNNING, Instruments, SharedMetrics, dead_letters

_PREFIX = "firstvalue_notifier_"
_TRIGGERS = ("first", "retry", "manual", "replay")
_OUTCOMES = (Status.SUCCEEDED, Status.PENDING, Status.EXHAUSTED)
_POISON_REASONS = ("undecodable", "id_invalid", "text_invalid", "body_too_large")
# An endpoint that answered 2xx within this time is healthy: what it is owed has to arrive.
_HEALTHY_SECONDS = 3600.0
_EVENT_TIME_BUCKETS = (1, 10, 60, 600, 3600, 86_400, 604_800)
_DELAY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class NotifierMetrics:
    """Counters, gauges and histograms; never labelled by endpoint, account or URL."""

    def __init__(self, registry: CollectorRegistry) -> None:
        make = Instruments(registry)
        self.described = make.described
        self.shared = SharedMetrics(make, service="notifier")
        self.dead_letters = dead_letters(make, reasons=_POISON_REASONS)
        self._answered_at: dict[str, float] = {}
        self._add_attempts(make)
        self._add_deliveries(make)
        self._add_queue(make)
        self._add_intake(make)
        self._add_end_to_end(make)

    def _add_attempts(self, make: Instruments) -> None:
        """What happens on the wire."""
        self.attempts = make.counter(
            _PREFIX + "attempts",
            "Attempts by result and by why they were made.",
            result=tuple(Result),
            trigger=_TRIGGERS,
        )
        self.attempt_duration_seconds = make.histogram(
            _PREFIX + "attempt_duration_seconds", "Until connected, and in total.", phase=("connect", "total")
        )
        self.in_flight = make.gauge(_PREFIX + "inflight", "Attempts under way.")
        self.breaker_transitions = make.counter(
            _PREFIX + "breaker_transitions",
            "Breakers of endpoints that opened, let a probe out, and opened again or closed by its result.",
            to=("open", "half_open", "closed"),
        )
        self.blocked_addresses = make.counter(
            _PREFIX + "blocked_address", "Refused connections by the kind of address.", tier=tuple(Tier)
        )
        self.connections = make.counter(
            _PREFIX + "connections", "Attempts that got a connection, new or reused.", reused=("true", "false")
        )

    def _add_deliveries(self, make: Instruments) -> None:
        """What becomes of deliveries."""
        self.deliveries = make.counter(
            _PREFIX + "deliveries", "Recorded attempts by what became of the delivery.", outcome=_OUTCOMES
        )
        self.delivery_latency_seconds = make.histogram(
            _PREFIX + "delivery_latency_seconds",
            "From intake's commit, or from when its schedule began anew, to the first 2xx.",
        )
        self.first_attempt_delay_seconds = make.histogram(
            _PREFIX + "first_attempt_delay_seconds",
            "From the acceptance of what caused the signal to the end of the first attempt; "
            "not of what the endpoint itself held up: paused, disabled, full, outside its delivery window, or with "
            "a rate of its own.",
            _DELAY_BUCKETS,
        )
        self.healthy_deliveries = make.counter(
            _PREFIX + "healthy_deliveries",
            "Settled deliveries to endpoints that had answered 2xx to this process within the hour before.",
            outcome=("delivered", "exhausted"),
        )
        self.late_outcomes = make.counter(_PREFIX + "late_outcomes", "Outcomes recorded after their lease had ended.")
        self.exhausted = make.counter(
            _PREFIX + "exhausted", "Deliveries given up, by reason.", reason=tuple(Exhaustion)
        )

    def _add_queue(self, make: Instruments) -> None:
        """What waits, and for whom."""
        self.due_lag_seconds = make.gauge(
            _PREFIX + "due_lag_seconds", "Age of the oldest due delivery of an open endpoint."
        )
        self.pending = make.gauge(_PREFIX + "pending", "Deliveries that wait for an attempt.")
        self.held = make.gauge(
            _PREFIX + "held", "Deliveries held back: endpoint disabled, backlog full, or for a digest."
        )
        self.held_total = make.counter(
            _PREFIX + "held_deliveries",
            "Deliveries held instead of queued, by reason.",
            reason=("disabled", "backlog", "digest"),
        )
        self.endpoints = make.gauge(
            _PREFIX + "endpoints",
            "Endpoints by state; failing and broken (breaker open) ones are enabled too.",
            state=("enabled", "disabled", "failing", "broken"),
        )
        self.notices = make.counter(
            _PREFIX + "notices", "Notices of the notifier's own work, by type.", type=NOTICE_TYPES
        )
        self.leases_expired = make.counter(
            _PREFIX + "lease_expired", "Deliveries returned to the queue after a lost lease."
        )

    def _add_intake(self, make: Instruments) -> None:
        """What comes from the signals topic."""
        self.intake_signals = make.counter(
            _PREFIX + "intake_signals", "Signals read: new ones, and repeats known by id.", outcome=("new", "repeat")
        )
        self._lag_records = make.gauge(
            _PREFIX + "intake_lag_records", "Records of the signals topic not taken up yet.", partition=RUNNING
        )
        self._lag_seconds = make.gauge(
            _PREFIX + "intake_lag_seconds",
            "Age of the newest signal taken up while others wait, before the first one since the partition was "
            "assigned; otherwise 0.",
            partition=RUNNING,
        )
        self.intake_last_progress = make.gauge(
            _PREFIX + "intake_last_progress_timestamp_seconds",
            "When a notifier last took up or moved a place in the signals topic, by the database's clock; 0 before.",
        )
        self.sequence_repeats = make.counter(_PREFIX + "sequence_repeats", "Records whose ledger number had been seen.")
        self.sequence_missing = make.gauge(
            _PREFIX + "sequence_missing", "Ledger numbers that were skipped and have not arrived."
        )
        self.positions_lost = make.counter(
            _PREFIX + "positions_lost", "Intake batches refused because another process had moved the position."
        )

    def _add_end_to_end(self, make: Instruments) -> None:
        """The whole pipeline, by the type of signal."""
        types = (*ACCOUNT_TYPES, OTHER)
        self._end_to_end = make.histogram(
            "firstvalue_end_to_end_latency_seconds",
            "From the arrival at ingest of what caused a signal to its first 2xx; the exemplar names the trace.",
            _DELAY_BUCKETS,
            type=types,
        )
        self._event_time = make.histogram(
            "firstvalue_event_time_latency_seconds",
            "From the time that a signal says to its first 2xx; clients' clocks may be wrong.",
            _EVENT_TIME_BUCKETS,
            type=types,
        )

    def show_intake_lag(self, waiting: Mapping[int, int], taken_at: Mapping[int, float]) -> None:
        """How many records wait by partition, and since when, seconds since 1970: of a worker that stands still the
        ages go on growing."""
        for part, records in waiting.items():
            since = taken_at[part] if records else None
            self._lag_records.labels(part).set(records)
            self._lag_seconds.labels(part).set_function(partial(_age_seconds, since))

    def forget_intake_lag(self) -> None:
        """Report nothing about partitions that others read now."""
        self._lag_records.clear()
        self._lag_seconds.clear()

    def arrived(
        self, type_: str, *, received_seconds: float | None, occurred_seconds: float | None, trace_id: str
    ) -> None:
        """A delivery got its first 2xx, so long after its cause was received and after it occurred."""
        known = type_ if type_ in ACCOUNT_TYPES else OTHER
        if received_seconds is not None:
            self._end_to_end.labels(known).observe(max(0.0, received_seconds), {"trace_id": trace_id})
        if occurred_seconds is not None:
            self._event_time.labels(known).observe(max(0.0, occurred_seconds))

    def settled(self, endpoint_id: str, *, delivered: bool) -> None:
        """A delivery came to its end; whether that counts depends on how the endpoint did in the last hour."""
        now = time.monotonic()
        if delivered:
            remember(self._answered_at, endpoint_id, now)
        if now - self._answered_at.get(endpoint_id, float("-inf")) <= _HEALTHY_SECONDS:
            self.healthy_deliveries.labels("delivered" if delivered else "exhausted").inc()


def _age_seconds(since: float | None) -> float:
    return 0.0 if since is None else max(0.0, time.time() - since)
