"""Metrics that all services share, and how each service names its own in its `metrics` module."""

from __future__ import annotations

import itertools
import platform
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from services.runtime import VERSION
from services.runtime.postgres import TimedPool, sqlstate

# Seconds; from one in-memory step to the longest deadline that the services keep.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

# A label whose values are known only while running, each of them bounded by something else that has a limit.
RUNNING: tuple[str, ...] = ()
OTHER = "other"

# PostgreSQL's classes of errors that tell an operator something; the rest is `other`. `connection` has no SQLSTATE.
_SQLSTATE_CLASSES = ("connection", "08", "22", "23", "25", "28", "40", "42", "53", "55", "57", "58", OTHER)

_Metric = TypeVar("_Metric", bound=MetricWrapperBase)


@dataclass(frozen=True, slots=True)
class Described:
    """One metric as the page of metrics tells it; `labels` gives the values of each label, RUNNING when not known."""

    name: str
    kind: str
    meaning: str
    labels: Mapping[str, Sequence[str]]


# Whatever counts runs in one event loop, as does what reads it: the library's locks and checks were a twelfth of the
# time of a single-event request.
class _Counter(Counter):
    def inc(self, amount: float = 1, exemplar: object = None) -> None:
        assert amount >= 0
        self._value._value += amount


class _Histogram(Histogram):
    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if exemplar:
            super().observe(amount, exemplar)
            return
        self._sum._value += amount
        self._buckets[bisect_left(self._upper_bounds, amount)]._value += 1


class Instruments:
    """Makes the metrics of one service; every series whose labels are known is exported at 0 from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # They double the series, and what Prometheus needs it takes from the zeros.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self.described: list[Described] = []

    def counter(
        self, name: str, meaning: str, *, only: Sequence[tuple[str, ...]] | None = None, **labels: Sequence[str]
    ) -> Counter:
        """A counter; `name` has no `_total`. `only` are the combinations of labels that occur, by default all."""
        self._describe(f"{name}_total", "counter", meaning, labels)
        return _start(_Counter(name, meaning, list(labels), registry=self._registry), labels, only)

    def gauge(self, name: str, meaning: str, **labels: Sequence[str]) -> Gauge:
        """A gauge."""
        self._describe(name, "gauge", meaning, labels)
        return _start(Gauge(name, meaning, list(labels), registry=self._registry), labels)

    def histogram(
        self, name: str, meaning: str, buckets: Sequence[float] = LATENCY_BUCKETS, **labels: Sequence[str]
    ) -> Histogram:
        """A histogram; `buckets` are upper bounds in the unit of its name."""
        self._describe(name, "histogram", meaning, labels)
        return _start(_Histogram(name, meaning, list(labels), buckets=buckets, registry=self._registry), labels)

    def info(self, name: str, meaning: str, **values: str) -> None:
        """A gauge of 1 whose labels are the message; exported as `name`_info."""
        self._describe(f"{name}_info", "gauge", meaning, {label: (value,) for label, value in values.items()})
        Info(name, meaning, registry=self._registry).info(values)

    def _describe(self, name: str, kind: str, meaning: str, labels: Mapping[str, Sequence[str]]) -> None:
        self.described.append(Described(name, kind, meaning, dict(labels)))


def _start(
    metric: _Metric, labels: Mapping[str, Sequence[str]], only: Sequence[tuple[str, ...]] | None = None
) -> _Metric:
    for values in (itertools.product(*labels.values()) if only is None else only) if labels else ():
        metric.labels(*values)
    return metric


def dead_letters(make: Instruments, *, reasons: Sequence[str]) -> Counter:
    """The counter of those services that put records aside."""
    return make.counter("firstvalue_dead_letters", "Records that can never be processed, put aside.", reason=reasons)


class SharedMetrics:
    """Build information, database errors and the pool's state."""

    def __init__(self, make: Instruments, *, service: str) -> None:
        make.info(
            "firstvalue_build",
            "Version of the running service.",
            version=VERSION,
            service=service,
            python=platform.python_version(),
        )
        self._errors = make.counter(
            "firstvalue_db_errors",
            "Failed database calls by the class of their SQLSTATE; `connection` without one.",
            sqlstate_class=_SQLSTATE_CLASSES,
        )
        self._pool = make.gauge(
            "firstvalue_db_pool_connections", "Connections of the pool.", state=("in_use", "idle", "max")
        )
        self._wait = make.histogram(
            "firstvalue_db_pool_wait_seconds", "Until a connection of the pool was free, or a new one open."
        )

    def watch_database(self, engine: AsyncEngine) -> None:
        """Report `engine`'s pool at every scrape, and count every call that fails, whoever made it."""
        pool = engine.sync_engine.pool
        assert isinstance(pool, TimedPool)
        self._pool.labels("in_use").set_function(pool.checkedout)
        self._pool.labels("idle").set_function(pool.checkedin)
        self._pool.labels("max").set_function(pool.size)
        pool.waited = self._wait.observe
        sa.event.listen(engine.sync_engine, "handle_error", self._count_failed_call)
        sa.event.listen(engine.sync_engine, "do_connect", self._count_refused_connection)

    def _count_failed_call(self, failure: ExceptionContext) -> None:
        state = sqlstate(failure.sqlalchemy_exception or failure.original_exception)
        self._count(state[:2] if state else "connection")

    def _count(self, sqlstate_class: str) -> None:
        self._errors.labels(sqlstate_class if sqlstate_class in _SQLSTATE_CLASSES else OTHER).inc()

    def _count_refused_connection(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        # A server that is not there raises what the library does not take for an error of the database.
        try:
            return dialect.connect(*arguments, **options)
        except OSError:
            self._count("connection")
            raise
