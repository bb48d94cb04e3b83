"""Every metric of the notifier, in one typed place; all series are exported from the start, at 0."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.notifier.domain.addresses import Tier
from services.notifier.domain.outcome import Exhaustion, Result, Status
from services.runtime.metrics import LATENCY_BUCKETS, SharedMetrics

_PREFIX = "firstvalue_notifier_"
_TRIGGERS = ("first", "retry", "manual", "replay")
_OUTCOMES = (Status.SUCCEEDED.value, Status.PENDING.value, Status.EXHAUSTED.value)
_POISON_REASONS = ("undecodable", "id_invalid", "text_invalid", "body_too_large")


class NotifierMetrics:
    """Counters, gauges and histograms; never labelled by endpoint, account or URL."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.shared = SharedMetrics(registry, service="notifier")
        self._registry = registry
        self._add_attempts()
        self._add_deliveries()
        self._add_intake()

    def _add_attempts(self) -> None:
        """What happens on the wire."""
        self.attempts = Counter(
            _PREFIX + "attempts",
            "Attempts by result and by why they were made.",
            ["result", "trigger"],
            registry=self._registry,
        )
        for result in Result:
            for trigger in _TRIGGERS:
                self.attempts.labels(result.value, trigger)
        self.attempt_duration_seconds = Histogram(
            _PREFIX + "attempt_duration_seconds",
            "Until connected, and in total.",
            ["phase"],
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
        for phase in ("connect", "total"):
            self.attempt_duration_seconds.labels(phase)
        self.in_flight = self._gauge("inflight", "Requests on the wire.")
        tiers = tuple(tier.value for tier in Tier)
        self.blocked_addresses = self._counter(
            "blocked_address", "Refused connections by the kind of address.", tier=tiers
        )
        self.connections = self._counter(
            "connections", "Attempts that got a connection, new or reused.", reused=("true", "false")
        )

    def _add_deliveries(self) -> None:
        """What becomes of deliveries, and what waits."""
        self.deliveries = self._counter(
            "deliveries", "Recorded attempts by what became of the delivery.", outcome=_OUTCOMES
        )
        self.delivery_latency_seconds = Histogram(
            _PREFIX + "delivery_latency_seconds",
            "From intake's commit to the first 2xx.",
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
        self.due_lag_seconds = self._gauge("due_lag_seconds", "Age of the oldest due delivery of an open endpoint.")
        self.pending = self._gauge("pending", "Deliveries that wait for an attempt.")
        self.held = self._gauge("held", "Deliveries held back by a disabled endpoint or a full backlog.")
        self.held_total = self._counter(
            "held_deliveries", "Deliveries held instead of queued, by reason.", reason=("disabled", "backlog")
        )
        self.endpoints = Gauge(_PREFIX + "endpoints", "Endpoints by state.", ["state"], registry=self._registry)
        for state in ("enabled", "disabled"):
            self.endpoints.labels(state)
        self.leases_expired = self._counter("lease_expired", "Deliveries returned to the queue after a lost lease.")
        self.late_outcomes = self._counter("late_outcomes", "Outcomes recorded after their lease had ended.")
        reasons = tuple(reason.value for reason in Exhaustion)
        self.exhausted = self._counter("exhausted", "Deliveries given up, by reason.", reason=reasons)

    def _add_intake(self) -> None:
        """What comes from the signals topic."""
        self.intake_signals = self._counter(
            "intake_signals", "Signals read: new ones, and repeats known by id.", outcome=("new", "repeat")
        )
        self.sequence_repeats = self._counter("sequence_repeats", "Records whose ledger number had been seen.")
        self.sequence_missing = self._gauge(
            "sequence_missing", "Ledger numbers that were skipped and have not arrived."
        )
        self.positions_lost = self._counter(
            "positions_lost", "Intake batches refused because another process had moved the position."
        )
        self.dead_letters = Counter(
            "firstvalue_dead_letters", "Records that can never be processed.", ["reason"], registry=self._registry
        )
        for reason in _POISON_REASONS:
            self.dead_letters.labels(reason)

    def _counter(self, name: str, meaning: str, **labels: tuple[str, ...]) -> Counter:
        """A counter with at most one label, whose values are all known."""
        counter = Counter(_PREFIX + name, meaning, list(labels), registry=self._registry)
        for values in labels.values():
            for value in values:
                counter.labels(value)
        return counter

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(_PREFIX + name, meaning, registry=self._registry)
