"""Metrics are told as they are, start at 0, and have labels whose values are known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.activation_engine.metrics import EngineMetrics
from services.ingest.metrics import _METHODS, REASONS, IngestMetrics
from services.ingest.routes import HOT_ROUTES
from services.notifier.metrics import NotifierMetrics
from services.runtime.metrics import OTHER, Instruments, SharedMetrics
from tests.contract import metrics_catalogue

_SERVICES = Path(__file__).parents[2] / "services"
# Series of one process, histograms' buckets included.
_SERIES_MAX = 1_500
_PARTITIONS = 32
_CODES = ("200", "400", "401", "403", "404", "408", "413", "415", "429", "499", "500", "503")


def registries() -> dict[str, CollectorRegistry]:
    """What each service exports before anything has happened."""
    engine, notifier = CollectorRegistry(), CollectorRegistry()
    EngineMetrics(engine)
    NotifierMetrics(notifier)
    return {"ingest": IngestMetrics().registry, "engine": engine, "notifier": notifier}


def test_the_page_of_metrics_is_fresh() -> None:
    """`python -m tests.contract.metrics_catalogue` would change nothing."""
    assert metrics_catalogue.FILE.read_text(encoding="utf-8") == "".join(metrics_catalogue.lines())


@pytest.mark.parametrize("service", ["ingest", "engine", "notifier"])
def test_what_is_described_is_exported(service: str) -> None:
    """Nothing is registered past the one place, and every label with known values has a series from the start."""
    exported = {
        family.name + ("_total" if family.type == "counter" else "_info" if family.type == "info" else ""): family
        for family in registries()[service].collect()
    }
    described = {one.name: one for one in metrics_catalogue.described()[service]}
    assert set(exported) == set(described)
    for name, one in described.items():
        if all(one.labels.values()):
            for label, values in one.labels.items():
                assert {sample.labels[label] for sample in exported[name].samples} == set(values), (name, label)


@pytest.mark.parametrize("service", ["ingest", "engine", "notifier"])
def test_the_number_of_series_is_bounded(service: str) -> None:
    """Each label that is not closed is bounded by the routes, the statuses or the partitions; here are as many as
    a large installation has, and every odd request."""
    registry = registries()[service]
    for one in metrics_catalogue.described()[service]:
        running = {label for label, values in one.labels.items() if not values}
        assert running <= set(metrics_catalogue._RUNNING)
        for part in range(_PARTITIONS if running == {"partition"} else 0):
            registry._names_to_collectors[one.name].labels(str(part))  # type: ignore[attr-defined]
    if service == "ingest":
        requests = registry._names_to_collectors["firstvalue_ingest_requests_total"]
        for route in (*(route.path for route in HOT_ROUTES), OTHER):
            for method in _METHODS:
                for code in _CODES if method == "POST" else ("405",):
                    requests.labels(route, method, code)  # type: ignore[attr-defined]
    assert 0 < sum(len(family.samples) for family in registry.collect()) < _SERIES_MAX


def test_what_a_client_makes_up_is_no_new_series() -> None:
    """Methods and codes that nobody listed are counted as `other`."""
    metrics = IngestMetrics()
    for number in range(50):
        metrics.count_request("other", f"METHOD{number}", 405)
        metrics.count_rejected(f"code_{number}")
    value = metrics.registry.get_sample_value
    assert value("firstvalue_ingest_requests_total", {"route": "other", "method": OTHER, "code": "405"}) == 50
    assert value("firstvalue_ingest_events_total", {"outcome": "rejected", "reason": OTHER}) == 50


def test_every_reason_of_a_rejection_is_listed() -> None:
    """A new code of ingest belongs into `REASONS` of its metrics, so that it is seen from its first event."""
    sources = [*(_SERVICES / "ingest").rglob("*.py"), _SERVICES / "runtime" / "strict_json.py"]
    raised = re.compile(r'(?:Rejected|InvalidJson)\(\s*"(\w+)"')
    codes = {code for source in sources for code in raised.findall(source.read_text(encoding="utf-8"))}
    assert codes
    assert codes - set(REASONS) == set()


def test_an_error_class_that_nobody_listed_is_counted_as_other() -> None:
    """PostgreSQL has some forty classes; those that ask for different deeds have a series of their own."""
    registry = CollectorRegistry()
    shared = SharedMetrics(Instruments(registry), service="test")
    shared._count("XX")
    assert registry.get_sample_value("firstvalue_db_errors_total", {"sqlstate_class": OTHER}) == 1
