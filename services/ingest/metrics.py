"""Every metric of ingest, in one place, with what it means."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.runtime.metrics import LATENCY_BUCKETS, SharedMetrics

_SIZE_BUCKETS = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 5_242_880)
_SKEW_BUCKETS = (-86_400, -3600, -300, -60, -10, -1, 0, 1, 10, 60, 300, 3600, 86_400)
_EVENT_OUTCOMES = ("accepted", "rejected", "unacknowledged")
_FAILURES = ("timeout", "broker", "too_large")

# Whatever else a client thinks of is counted as `other`, so that labels stay few.
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"})


class IngestMetrics:
    """Counters, gauges and histograms on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.shared = SharedMetrics(self.registry, service="ingest")
        self._requests = Counter(
            "firstvalue_ingest_requests",
            "HTTP requests by route, method and status; 499 is a client that left.",
            ["route", "method", "code"],
            registry=self.registry,
        )
        self.request_duration = self._histogram(
            "request_duration_seconds", "Time from the headers of an event or command request to its answer."
        )
        self.request_size = self._histogram("request_size_bytes", "Size of bodies as sent.", _SIZE_BUCKETS)
        self.events = Counter(
            "firstvalue_ingest_events",
            "Events and commands by outcome; `reason` is the code of a rejection, else empty.",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self.publish_duration = self._histogram(
            "publish_duration_seconds", "Time from handing a request's records to the writers to Kafka's last ack."
        )
        self.publish_failures = Counter(
            "firstvalue_ingest_publish_failures",
            "Produce batches that were not acknowledged.",
            ["error"],
            registry=self.registry,
        )
        self._inflight = Gauge(
            "firstvalue_ingest_inflight_bytes", "Bodies and records held in memory.", registry=self.registry
        )
        self.client_clock_skew = self._histogram(
            "client_clock_skew_seconds", "sent_at of a batch minus its arrival; positive is ahead.", _SKEW_BUCKETS
        )
        self._key_cache_age = Gauge(
            "firstvalue_ingest_key_cache_age_seconds",
            "Time since the API keys in memory were known to be current.",
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, int], Counter] = {}
        for outcome in _EVENT_OUTCOMES:
            self.events.labels(outcome, "")
        for error in _FAILURES:
            self.publish_failures.labels(error)
        self.accepted = self.events.labels("accepted", "")
        self.unacknowledged = self.events.labels("unacknowledged", "")

    def watch(self, *, inflight_bytes: Callable[[], float], key_cache_age_seconds: Callable[[], float]) -> None:
        """Report these at every scrape."""
        self._inflight.set_function(inflight_bytes)
        self._key_cache_age.set_function(key_cache_age_seconds)

    def know_route(self, route: str, method: str) -> None:
        """Export the series of a route before its first request."""
        self._requests.labels(route, method, "200")

    def count_request(self, route: str, method: str, status: int) -> None:
        """One answered request."""
        label = route, method, status
        child = self._children.get(label)
        if child is None:
            known = method if method in _METHODS else "other"
            child = self._children[label] = self._requests.labels(route, known, str(status))
        child.inc()

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...] = LATENCY_BUCKETS) -> Histogram:
        return Histogram(f"firstvalue_ingest_{name}", meaning, buckets=buckets, registry=self.registry)
