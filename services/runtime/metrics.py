"""Metrics that all services share; each service names its own in its `metrics` module."""

from __future__ import annotations

import platform
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from services.runtime.postgres import sqlstate

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

    def watch_database(self, engine: AsyncEngine) -> None:
        """Report `engine`'s pool at every scrape, and count every call that fails, whoever made it."""
        pool = engine.sync_engine.pool
        assert isinstance(pool, QueuePool)
        self._pool.labels("in_use").set_function(pool.checkedout)
        self._pool.labels("idle").set_function(pool.checkedin)
        sa.event.listen(engine.sync_engine, "handle_error", self._count_failed_call)
        sa.event.listen(engine.sync_engine, "do_connect", self._count_refused_connection)

    def _count_failed_call(self, failure: ExceptionContext) -> None:
        state = sqlstate(failure.sqlalchemy_exception or failure.original_exception)
        self.database_errors.labels(state[:2] if state else "connection").inc()

    def _count_refused_connection(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        # A server that is not there raises what the library does not take for an error of the database.
        try:
            return dialect.connect(*arguments, **options)
        except OSError:
            self.database_errors.labels("connection").inc()
            raise
