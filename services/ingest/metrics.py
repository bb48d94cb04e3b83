"""Every metric of ingest, in one place, with what it means."""

from __future__ import annotations

import time
from functools import partial

from prometheus_client import CollectorRegistry, Counter

from services.ingest.inflight import InFlight
from services.runtime.key_ring import KeyRing
from services.runtime.metrics import OTHER, RUNNING, Instruments, SharedMetrics

_SIZE_BUCKETS = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 5_242_880)
_SKEW_BUCKETS = (-86_400, -3600, -300, -60, -10, -1, 0, 1, 10, 60, 300, 3600, 86_400)
# One of these stands at the objective: 99 % of requests within 250 ms.
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FAILURES = ("timeout", "broker", "too_large")
# Why an event or command is rejected: the codes in the answer's `errors`, and `other` for one that is not listed.
REASONS = (
    "account_ambiguous", "account_invalid", "account_missing", "alias_ids_missing", "attribute_missing",
    "command_invalid", "command_unknown", "depth_exceeded", "event_invalid", "event_name_missing",
    "event_too_large", "group_id_missing", "group_type_other", "id_too_long", "json_invalid", "key_duplicate",
    "nul_character", "number_out_of_range", "specversion_unsupported", "surrogate_invalid", "timestamp_invalid",
    "trait_invalid", "type_unknown", "user_missing", "utf8_invalid", OTHER,
)  # fmt: skip
_UNREJECTED = ("accepted", "unresolved", "unacknowledged")
# Why the resolver makes a dead letter.
_RESOLVER_REASONS = ("account_ambiguous", "account_unknown", "record_invalid")
# Whatever else a client thinks of is counted as `other`, so that labels stay few.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", OTHER)
# What a hot route answers whether or not anything goes wrong on the client's side.
_CODES_FROM_START = ("200", "400", "401", "403", "413", "429", "500", "503")


class IngestMetrics:
    """Counters, gauges and histograms on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Instruments(self.registry)
        self.described = make.described
        self.shared = SharedMetrics(make, service="ingest")
        self._make_requests(make)
        self._make_events(make)
        self._make_resolver(make)

    def _make_requests(self, make: Instruments) -> None:
        self._requests = make.counter(
            "firstvalue_ingest_requests",
            "HTTP requests by route, method and status; 499 is a client that left.",
            route=RUNNING,
            method=_METHODS,
            code=RUNNING,
        )
        self.request_duration = make.histogram(
            "firstvalue_ingest_request_duration_seconds",
            "Time from the headers of an event or command request to its answer.",
            _REQUEST_BUCKETS,
        )
        self.request_size = make.histogram(
            "firstvalue_ingest_request_size_bytes", "Size of bodies as sent.", _SIZE_BUCKETS
        )
        self._inflight = make.gauge("firstvalue_ingest_inflight_bytes", "Bodies and records held in memory.")
        self._key_cache_age = make.gauge(
            "firstvalue_ingest_key_cache_age_seconds", "Time since the API keys in memory were known to be current."
        )
        self._keys_expiring = make.gauge(
            "firstvalue_ingest_keys_expiring", "API keys in use that end within seven days."
        )
        self._children: dict[tuple[str, str, int], Counter] = {}

    def _make_events(self, make: Instruments) -> None:
        self._events = make.counter(
            "firstvalue_ingest_events",
            "Events and commands by outcome; `unresolved` ones wait for their account; `reason` is a rejection's code.",
            only=[(outcome, "") for outcome in _UNREJECTED] + [("rejected", reason) for reason in REASONS],
            outcome=(*_UNREJECTED, "rejected"),
            reason=("", *REASONS),
        )
        self.accepted = self._events.labels("accepted", "")
        self.unresolved = self._events.labels("unresolved", "")
        self.unacknowledged = self._events.labels("unacknowledged", "")
        self.publish_duration = make.histogram(
            "firstvalue_ingest_publish_duration_seconds",
            "Time from handing a request's records to the writers to Kafka's last ack.",
        )
        self.publish_failures = make.counter(
            "firstvalue_ingest_publish_failures", "Produce batches that were not acknowledged.", error=_FAILURES
        )
        self.client_clock_skew = make.histogram(
            "firstvalue_ingest_client_clock_skew_seconds",
            "sent_at of a batch minus its arrival; positive is ahead.",
            _SKEW_BUCKETS,
        )

    def _make_resolver(self, make: Instruments) -> None:
        self.resolved = make.counter(
            "firstvalue_ingest_resolver_events",
            "Events without an account by what the resolver did; `reason` is that of a dead letter, else empty.",
            only=[("resolved", ""), ("parked", "")] + [("dead", reason) for reason in _RESOLVER_REASONS],
            outcome=("resolved", "parked", "dead"),
            reason=("", *_RESOLVER_REASONS),
        )
        self.parked = make.gauge(
            "firstvalue_ingest_parked_events", "Events that wait for the account of their user.", partition=RUNNING
        )
        self.resolver_lag = make.gauge(
            "firstvalue_ingest_resolver_lag_records", "Records that the resolver has not read yet.", partition=RUNNING
        )
        self.resolver_lag_seconds = make.gauge(
            "firstvalue_ingest_resolver_lag_seconds",
            "Time since the instant up to which the resolver has decided all records.",
            partition=RUNNING,
        )

    def watch(self, inflight: InFlight, ring: KeyRing) -> None:
        """Report what these know at every scrape."""
        self._inflight.set_function(lambda: inflight.held_bytes)
        self._key_cache_age.set_function(lambda: ring.age_seconds)
        self._keys_expiring.set_function(ring.expiring)

    def decided_until(self, partition: int, instant_ms: float) -> None:
        """The resolver has decided all records of a partition up to an instant; while it stands still, that ages."""
        self.resolver_lag_seconds.labels(str(partition)).set_function(partial(_age_seconds, instant_ms))

    def forget_partition(self, partition: int) -> None:
        """Report nothing of a partition that another resolver has now."""
        for gauge in (self.resolver_lag, self.resolver_lag_seconds, self.parked):
            gauge.remove(str(partition))

    def know_route(self, route: str, method: str) -> None:
        """Export the series of a route before its first request."""
        for code in _CODES_FROM_START:
            self._requests.labels(route, method, code)

    def count_request(self, route: str, method: str, status: int) -> None:
        """One answered request."""
        known = method if method in _METHODS else OTHER
        label = route, known, status
        child = self._children.get(label)
        if child is None:
            child = self._children[label] = self._requests.labels(route, known, str(status))
        child.inc()

    def count_rejected(self, code: str) -> None:
        """One event or command that was not taken."""
        self._events.labels("rejected", code if code in REASONS else OTHER).inc()


def _age_seconds(instant_ms: float) -> float:
    return max(0.0, time.time() - instant_ms / 1000)
