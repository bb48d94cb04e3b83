"""Every metric of the notifier, in one typed place; all series are exported from the start, at 0."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.notifier.domain.addresses import Tier
from services.notifier.domain.outcome import Exhaustion, Result, Status
from services.runtime.metrics import LATENCY_BUCKETS, SharedMetrics

TRIGGERS = ("first", "retry", "manual")
OUTCOMES = (Status.SUCCEEDED, Status.PENDING, Status.EXHAUSTED)
POISON_REASONS = ("undecodable", "id_invalid", "text_invalid", "body_too_large")


class NotifierMetrics:
    """Counters, gauges and histograms; never labelled by endpoint, account or URL."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.shared = SharedMetrics(registry, service="notifier")
        prefix = "firstvalue_notifier_"
        self.deliveries = Counter(
            prefix + "deliveries", "Recorded attempts by what became of the delivery.", ["outcome"], registry=registry
        )
        self.attempts = Counter(
            prefix + "attempts",
            "Attempts by result and by why they were made.",
            ["result", "trigger"],
            registry=registry,
        )
        self.attempt_duration_seconds = Histogram(
            prefix + "attempt_duration_seconds",
            "Until connected, and in total.",
            ["phase"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.delivery_latency_seconds = Histogram(
            prefix + "delivery_latency_seconds",
            "From intake's commit to the first 2xx.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.due_lag_seconds = Gauge(
            prefix + "due_lag_seconds", "Age of the oldest due delivery of an open endpoint.", registry=registry
        )
        self.pending = Gauge(prefix + "pending", "Deliveries that wait for an attempt.", registry=registry)
        self.held = Gauge(
            prefix + "held", "Deliveries held back by a disabled endpoint or a full backlog.", registry=registry
        )
        self.in_flight = Gauge(prefix + "inflight", "Requests on the wire.", registry=registry)
        self.endpoints = Gauge(prefix + "endpoints", "Endpoints by state.", ["state"], registry=registry)
        self.blocked_addresses = Counter(
            prefix + "blocked_address", "Refused connections by the kind of address.", ["tier"], registry=registry
        )
        self.connections = Counter(
            prefix + "connections", "Attempts that got a connection, new or reused.", ["reused"], registry=registry
        )
        self.leases_expired = Counter(
            prefix + "lease_expired", "Deliveries returned to the queue after a lost lease.", registry=registry
        )
        self.late_outcomes = Counter(
            prefix + "late_outcomes", "Outcomes recorded after their lease had ended.", registry=registry
        )
        self.exhausted = Counter(prefix + "exhausted", "Deliveries given up, by reason.", ["reason"], registry=registry)
        self.intake_signals = Counter(
            prefix + "intake_signals",
            "Signals read: new ones, and repeats known by id.",
            ["outcome"],
            registry=registry,
        )
        self.sequence_repeats = Counter(
            prefix + "sequence_repeats", "Records whose ledger number had been seen.", registry=registry
        )
        self.sequence_missing = Gauge(
            prefix + "sequence_missing", "Ledger numbers that were skipped and have not arrived.", registry=registry
        )
        self.positions_lost = Counter(
            prefix + "positions_lost",
            "Intake batches refused because another process moved the position.",
            registry=registry,
        )
        self.held_total = Counter(
            prefix + "held_deliveries", "Deliveries held instead of queued, by reason.", ["reason"], registry=registry
        )
        self.dead_letters = Counter(
            "firstvalue_dead_letters", "Records that can never be processed.", ["reason"], registry=registry
        )
        self._export_zeroes()

    def _export_zeroes(self) -> None:
        for outcome in OUTCOMES:
            self.deliveries.labels(outcome.value)
        for result in Result:
            for trigger in TRIGGERS:
                self.attempts.labels(result.value, trigger)
        for phase in ("connect", "total"):
            self.attempt_duration_seconds.labels(phase)
        for tier in Tier:
            self.blocked_addresses.labels(tier.value)
        for flag in ("true", "false"):
            self.connections.labels(flag)
        for reason in Exhaustion:
            self.exhausted.labels(reason.value)
        for state in ("enabled", "disabled"):
            self.endpoints.labels(state)
        for outcome_text in ("new", "repeat"):
            self.intake_signals.labels(outcome_text)
        for reason_text in ("disabled", "backlog"):
            self.held_total.labels(reason_text)
        for reason_text in POISON_REASONS:
            self.dead_letters.labels(reason_text)
