"""The metrics page has every promised series from the start."""

from __future__ import annotations

import time
from uuid import uuid4

from prometheus_client import CollectorRegistry, generate_latest

from schemas.signals import ACCOUNT_TYPES
from services.activation_engine.batch import begin
from services.activation_engine.decoder import Reason
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.partition import AccountCache, Partition
from services.activation_engine.store import Lease

NAMES = (
    "events_total",
    "late_events_total",
    "batch_duration_seconds",
    "batch_events",
    "lag_records",
    "lag_seconds",
    "clock_age_seconds",
    "rebalances_total",
    "assigned_partitions",
    "lease_conflicts_total",
    "last_progress_timestamp_seconds",
    "signals_total",
    "accounts",
    "timer_lateness_seconds",
    "ledger_unpublished",
    "dirty_ratio",
    "stopped_partitions",
)


def test_every_promised_metric_exists_and_labels_start_at_zero() -> None:
    """A rate over a series that appears with its first event would miss that event."""
    metrics = EngineMetrics(CollectorRegistry())
    metrics.watch_relay(lambda: 3)
    page = generate_latest(metrics.registry).decode()
    for name in NAMES:
        assert f"# HELP firstvalue_engine_{name} " in page
    for reason in Reason:
        assert f'firstvalue_dead_letters_total{{reason="{reason}"}} 0.0' in page
    for kind in ACCOUNT_TYPES:
        assert f'firstvalue_engine_signals_total{{type="{kind}"}} 0.0' in page
    assert 'firstvalue_engine_events_total{outcome="redelivered"} 0.0' in page
    assert "firstvalue_engine_ledger_unpublished 3.0" in page


def test_a_status_that_nobody_has_any_more_is_counted_as_nobodys() -> None:
    """Not as those who had it last."""
    metrics = EngineMetrics(CollectorRegistry())
    metrics.show_statuses({"stalled": 2})
    metrics.show_statuses({"activated": 2})
    page = generate_latest(metrics.registry).decode()
    assert 'firstvalue_engine_accounts{status="stalled"} 0.0' in page
    assert 'firstvalue_engine_accounts{status="activated"} 2.0' in page


def test_how_late_an_account_was_looked_at_is_told_by_the_clock_on_the_wall() -> None:
    """The log's own stands still until a tick is decided for all, however long that takes."""
    metrics = EngineMetrics(CollectorRegistry())
    lease = Lease(part=0, stamp=uuid4(), source="events")
    outcome = begin(Partition(lease, {}, PlanSet.of(()), AccountCache(1)))
    outcome.latest_check_ms = int((time.time() - 400) * 1000)
    metrics.batch_done([(outcome, 0)], records=0, seconds=0.0)
    page = generate_latest(metrics.registry).decode()
    assert 'firstvalue_engine_timer_lateness_seconds_bucket{le="300.0"} 0.0' in page
    assert 'firstvalue_engine_timer_lateness_seconds_bucket{le="900.0"} 1.0' in page
