"""Metrics that all services share; each service names its own in its `metrics` module."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

VERSION = "0.1.0"

# Seconds; from one in-memory step to the longest deadline that the services keep.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class SharedMetrics:
    """Build information, database errors and the pool's state, on the service's own registry."""

    def __init__(self, registry: CollectorRegistry, *, service: str) -> None:
        Info("firstvalue_build", "Version of the running service.", registry=registry).info(
            {"version": VERSION, "service": service, "python": platform.python_version()}
        )
        self.database_errors = Counter(
            "firstvalue_db_errors",
            "Failed database calls by the class of their SQLSTATE; `connection` without one.",
            ["sqlstate_class"],
            registry=registry,
        )
        for known in ("connection", "08", "40", "53", "57"):
            self.database_errors.labels(known)
        self._pool = Gauge("firstvalue_db_pool_connections", "Connections of the pool.", ["state"], registry=registry)

    def watch_pool(self, engine: AsyncEngine) -> None:
        """Report `engine`'s pool at every scrape."""
        pool = engine.sync_engine.pool
        assert isinstance(pool, QueuePool)
        self._pool.labels("in_use").set_function(pool.checkedout)
        self._pool.labels("idle").set_function(pool.checkedin)
