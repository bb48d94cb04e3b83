"""Which panels there are, and what each asks Prometheus."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.prometheus.objectives import OBJECTIVES, ratio_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: `queries` are expressions by legend; `unit` is Grafana's name of it; its axis begins at `lowest`."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    lowest: int | None = 0
    meaning: str = ""


def _quantiles(histogram: str) -> dict[str, str]:
    by = f"sum by (le) (rate({histogram}_bucket[5m]))"
    return {f"p{share}": f"histogram_quantile(0.{share}, {by})" for share in (50, 99)}


def _rate(counter: str, by: str, title: str, *, where: str = "", meaning: str = "") -> Panel:
    return Panel(
        title=title,
        queries={f"{{{{{by}}}}}": f"sum by ({by}) (rate({counter}{where}[5m]))"},
        unit="ops",
        meaning=meaning,
    )


def _worst(gauge: str, title: str, *, unit: str = "s", meaning: str = "") -> Panel:
    return Panel(title=title, queries={"most": f"max({gauge})"}, unit=unit, meaning=meaning)


def _total(gauge: str, title: str, *, unit: str = "short", meaning: str = "") -> Panel:
    return Panel(title=title, queries={"all": f"sum({gauge})"}, unit=unit, meaning=meaning)


def _shares(title: str, *names: str) -> Panel:
    wanted = [objective for objective in OBJECTIVES if objective.name in names]
    return Panel(
        title=title,
        queries={one.title: ratio_record(one, "1h") for one in wanted},
        unit="percentunit",
        meaning="Of an hour.",
    )


_OVERVIEW = (
    Panel(title="Processes up", queries={"{{job}}": 'sum by (job) (up{job=~"firstvalue-.*"})'}),
    Panel(
        title="Along the pipeline",
        queries={
            "events accepted": 'sum(rate(firstvalue_ingest_events_total{outcome="accepted"}[5m]))',
            "events applied": "sum(rate(firstvalue_engine_events_total[5m]))",
            "signals": "sum(rate(firstvalue_engine_signals_total[5m]))",
            "attempts": "sum(rate(firstvalue_notifier_attempts_total[5m]))",
        },
        unit="ops",
    ),
    _shares("Objectives: bad share", *(objective.name for objective in OBJECTIVES)),
    Panel(
        title="End to end",
        queries=_quantiles("firstvalue_end_to_end_latency_seconds"),
        unit="s",
        meaning="From the arrival of what caused a signal to the first 2xx of a webhook.",
    ),
    _worst("firstvalue_engine_lag_seconds", "Lag of the engine"),
    _worst("firstvalue_engine_clock_age_seconds", "Age of the clock"),
    Panel(
        title="Failed publications",
        queries={
            "ingest": "sum(rate(firstvalue_ingest_publish_failures_total[5m]))",
            "engine": "sum(rate(firstvalue_engine_publish_failures_total[5m]))",
        },
        unit="ops",
    ),
    Panel(
        title="Dead letters",
        queries={
            "{{job}} {{reason}}": "sum by (job, reason) (increase(firstvalue_dead_letters_total[1h]))",
            "of the resolver, {{reason}}": "sum by (reason)"
            ' (increase(firstvalue_ingest_resolver_events_total{outcome="dead"}[1h]))',
        },
    ),
    Panel(
        title="Database connections in use",
        queries={
            "{{job}}": 'sum by (job) (firstvalue_db_pool_connections{state="in_use"})'
            ' / sum by (job) (firstvalue_db_pool_connections{state="max"})'
        },
        unit="percentunit",
    ),
    _rate("firstvalue_db_errors_total", "sqlstate_class", "Database errors"),
    Panel(title="Database: wait for a connection", queries=_quantiles("firstvalue_db_pool_wait_seconds"), unit="s"),
    Panel(title="Versions", queries={"{{service}} {{version}}": "count by (service, version) (firstvalue_build_info)"}),
)

_INGEST = (
    _rate("firstvalue_ingest_requests_total", "code", "Requests by status"),
    _shares("Failed share of requests", "IngestAvailability"),
    Panel(title="Request duration", queries=_quantiles("firstvalue_ingest_request_duration_seconds"), unit="s"),
    Panel(title="Time at Kafka", queries=_quantiles("firstvalue_ingest_publish_duration_seconds"), unit="s"),
    _rate("firstvalue_ingest_events_total", "outcome", "Events by outcome"),
    _rate("firstvalue_ingest_events_total", "reason", "Rejected by reason", where='{outcome="rejected"}'),
    _rate("firstvalue_ingest_publish_failures_total", "error", "Unacknowledged produce batches"),
    _total("firstvalue_ingest_inflight_bytes", "Held in memory", unit="bytes"),
    Panel(title="Size of bodies", queries=_quantiles("firstvalue_ingest_request_size_bytes"), unit="bytes"),
    Panel(
        title="Skew of clients' clocks",
        queries=_quantiles("firstvalue_ingest_client_clock_skew_seconds"),
        unit="s",
        lowest=None,
        meaning="Positive is ahead.",
    ),
    _worst("firstvalue_ingest_key_cache_age_seconds", "Age of the keys in memory"),
    _worst("firstvalue_ingest_keys_expiring", "API keys about to end", unit="short"),
    _rate("firstvalue_ingest_resolver_events_total", "outcome", "Events without an account"),
    _total("firstvalue_ingest_parked_events", "Events that wait for their account"),
    _worst("firstvalue_ingest_resolver_lag_seconds", "Lag of the resolver"),
    _total("firstvalue_ingest_resolver_lag_records", "Records that the resolver has not read"),
)

_ENGINE = (
    _rate("firstvalue_engine_events_total", "outcome", "Records by outcome"),
    _shares("Share applied too late", "Freshness"),
    Panel(title="Lag", queries={"{{partition}}": "max by (partition) (firstvalue_engine_lag_seconds)"}, unit="s"),
    Panel(
        title="Clock age",
        queries={"{{partition}}": "max by (partition) (firstvalue_engine_clock_age_seconds)"},
        unit="s",
    ),
    Panel(
        title="Partitions",
        queries={
            "of the topic": "max(firstvalue_engine_partitions)",
            "claimed by {{instance}}": "sum by (instance) (firstvalue_engine_assigned_partitions)",
        },
    ),
    Panel(
        title="Stopped partitions",
        queries={
            "{{reason}}": "sum by (reason) (firstvalue_engine_stopped_partitions)",
            "signals missing": "sum(firstvalue_notifier_sequence_missing)",
        },
        meaning="Partitions that wait for a decision, and ledger numbers that did not reach the notifier.",
    ),
    Panel(
        title="Time since the last commit",
        queries={"{{instance}}": "time() - firstvalue_engine_last_progress_timestamp_seconds"},
        unit="s",
    ),
    Panel(title="Batch duration", queries=_quantiles("firstvalue_engine_batch_duration_seconds"), unit="s"),
    Panel(
        title="Processor time by phase",
        queries={"{{phase}}": "sum by (phase) (rate(firstvalue_engine_phase_cpu_seconds_total[5m]))"},
        unit="percentunit",
        meaning="Of one processor, over all engines.",
    ),
    _rate("firstvalue_engine_signals_total", "type", "Signals"),
    Panel(title="Accounts", queries={"{{status}}": "max by (status) (firstvalue_engine_accounts)"}),
    Panel(title="Timer lateness", queries=_quantiles("firstvalue_engine_timer_lateness_seconds"), unit="s"),
    _rate("firstvalue_engine_large_states_total", "above_bytes", "Large account rows written"),
    _total("firstvalue_engine_ledger_unpublished", "Unpublished signals"),
    Panel(title="Rebalances", queries={"{{instance}}": "increase(firstvalue_engine_rebalances_total[15m])"}),
    _rate("firstvalue_engine_lease_conflicts_total", "instance", "Commits refused"),
    _worst("firstvalue_engine_audit_differences", "Audit differences", unit="short"),
    _worst("firstvalue_engine_silent_event_names", "Silent event names", unit="short"),
    _rate("firstvalue_engine_late_events_total", "instance", "Events that came late"),
)

_NOTIFIER = (
    _rate("firstvalue_notifier_attempts_total", "result", "Attempts by result"),
    _rate("firstvalue_notifier_deliveries_total", "outcome", "Deliveries by outcome"),
    Panel(
        title="First attempts",
        queries=_quantiles("firstvalue_notifier_first_attempt_delay_seconds"),
        unit="s",
        meaning="From the acceptance of what caused the signal to the end of the first attempt, "
        "where the endpoint could be sent to all the time.",
    ),
    Panel(title="Delivery latency", queries=_quantiles("firstvalue_notifier_delivery_latency_seconds"), unit="s"),
    Panel(
        title="Attempt duration",
        queries={
            "{{phase}} p99": "histogram_quantile(0.99, sum by (le, phase)"
            " (rate(firstvalue_notifier_attempt_duration_seconds_bucket[5m])))"
        },
        unit="s",
    ),
    _worst("firstvalue_notifier_due_lag_seconds", "Due lag"),
    Panel(
        title="Waiting",
        queries={"pending": "max(firstvalue_notifier_pending)", "held": "max(firstvalue_notifier_held)"},
    ),
    _total("firstvalue_notifier_inflight", "In flight"),
    Panel(
        title="Deliveries given up",
        queries={
            "{{reason}}": "sum by (reason) (increase(firstvalue_notifier_exhausted_total[1h]))",
            "healthy endpoints": 'sum(increase(firstvalue_notifier_healthy_deliveries_total{outcome="exhausted"}[1h]))',
        },
    ),
    Panel(title="Endpoints", queries={"{{state}}": "max by (state) (firstvalue_notifier_endpoints)"}),
    _rate("firstvalue_notifier_breaker_transitions_total", "to", "Breakers"),
    _rate("firstvalue_notifier_blocked_address_total", "tier", "Blocked addresses"),
    _rate("firstvalue_notifier_lease_expired_total", "instance", "Lost leases"),
    _rate("firstvalue_notifier_intake_signals_total", "outcome", "Signals read"),
    Panel(
        title="Lag of intake",
        queries={"{{partition}}": "max by (partition) (firstvalue_notifier_intake_lag_seconds)"},
        unit="s",
        meaning="Age of the newest signal taken up, where others wait.",
    ),
    Panel(
        title="Signals not taken up",
        queries={"{{partition}}": "max by (partition) (firstvalue_notifier_intake_lag_records)"},
    ),
    Panel(
        title="Time since signals were read",
        queries={"any notifier": "time() - max(firstvalue_notifier_intake_last_progress_timestamp_seconds)"},
        unit="s",
        meaning="As long as the engine makes none, there are none to read.",
    ),
    _rate("firstvalue_notifier_connections_total", "reused", "Connections, reused or new"),
)

DASHBOARDS: dict[str, tuple[Panel, ...]] = {
    "overview": _OVERVIEW,
    "ingest": _INGEST,
    "engine": _ENGINE,
    "notifier": _NOTIFIER,
}
