"""Writes `docs/metrics.md` from the metrics that the services export: `python -m tests.contract.metrics_catalogue`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.activation_engine.metrics import EngineMetrics
from services.ingest.metrics import IngestMetrics
from services.notifier.metrics import NotifierMetrics
from services.runtime.metrics import Described

FILE = Path(__file__).parents[2] / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Each service answers `GET /metrics` on its private port, as Prometheus text or OpenMetrics. No label ever holds an
account, an endpoint, an address or an event's name, so that the number of series is bounded; all series whose labels
are listed here are exported at 0 from the start. This page is generated: `python -m tests.contract.metrics_catalogue`.
"""
# What the values of a label are when they are known only while running.
_RUNNING = {
    "partition": "the partition's number",
    "route": "the path as documented, or `other`",
    "code": "the status",
}


def described() -> dict[str, Sequence[Described]]:
    """All metrics by service."""
    registries = CollectorRegistry(), CollectorRegistry()
    return {
        "ingest": IngestMetrics().described,
        "engine": EngineMetrics(registries[0]).described,
        "notifier": NotifierMetrics(registries[1]).described,
    }


def lines() -> Iterator[str]:
    """The page, line by line."""
    yield _HEAD
    services = described()
    own = tuple(f"firstvalue_{service}_" for service in services)
    shared = {one.name for metrics in services.values() for one in metrics if not one.name.startswith(own)}
    yield from _table("All services", _once(services, shared))
    for service, metrics in services.items():
        yield from _table(service.capitalize(), [one for one in metrics if one.name not in shared])


def _once(services: dict[str, Sequence[Described]], names: set[str]) -> list[Described]:
    """Metrics of several services, each with the label values of all of them."""
    found: dict[str, Described] = {}
    for metrics in services.values():
        for one in metrics:
            if one.name in names:
                known = found.get(one.name, one)
                labels = {
                    label: tuple(dict.fromkeys([*known.labels[label], *values])) for label, values in one.labels.items()
                }
                found[one.name] = Described(one.name, one.kind, one.meaning, labels)
    return list(found.values())


def _table(title: str, metrics: Sequence[Described]) -> Iterator[str]:
    yield f"\n## {title}\n\n| Metric | Kind | Meaning | Labels |\n|---|---|---|---|\n"
    for one in metrics:
        told = "; ".join(f"`{label}`: {_values(label, values)}" for label, values in one.labels.items())
        yield f"| `{one.name}` | {one.kind} | {one.meaning} | {told} |\n"


def _values(label: str, values: Sequence[str]) -> str:
    if label in ("version", "python"):
        return "as installed"
    if not values:
        return _RUNNING[label]
    return ", ".join(f"`{value}`" for value in values if value)


if __name__ == "__main__":
    FILE.write_text("".join(lines()), encoding="utf-8")
