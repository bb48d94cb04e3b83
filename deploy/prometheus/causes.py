"""Alerts by cause, along the pipeline. They open tickets; only what loses or distorts data, or a dead target, pages."""

from __future__ import annotations

from deploy.prometheus.alerts import Alert

_INGEST = 'job="firstvalue-ingest",instance="i"'
_ENGINE = 'job="firstvalue-engine",instance="e"'
_NOTIFIER = 'job="firstvalue-notifier",instance="n"'

_INTAKE = (
    Alert(
        name="TargetDown",
        severity="page",
        expression='up{job=~"firstvalue-.*"} == 0 or absent(up{job="firstvalue-ingest"})'
        ' or absent(up{job="firstvalue-engine"}) or absent(up{job="firstvalue-notifier"})',
        hold="2m",
        summary="{{ $labels.job }} does not answer",
        description="No metrics come from {{ $labels.instance }}; it is down, hangs, or cannot be reached.",
        panel=("overview", "Processes up"),
        firing={f"up{{{_INGEST}}}": "1x5 0x60", f"up{{{_ENGINE}}}": "1x60", f"up{{{_NOTIFIER}}}": "1x60"},
        quiet={f"up{{{_INGEST}}}": "1x60", f"up{{{_ENGINE}}}": "1x60", f"up{{{_NOTIFIER}}}": "1x29 0x30"},
    ),
    Alert(
        name="PublishFailing",
        severity="ticket",
        # Not a sum of both: with one of them down it would be nothing.
        expression="sum(rate(firstvalue_ingest_publish_failures_total[5m])) > 0"
        " or sum(rate(firstvalue_engine_publish_failures_total[5m])) > 0",
        hold="5m",
        summary="Kafka does not confirm what is sent",
        description="Produce batches fail for five minutes now. Clients get 503 and send again; nothing is lost yet.",
        panel=("overview", "Failed publications"),
        firing={f'firstvalue_ingest_publish_failures_total{{{_INGEST},error="broker"}}': "0+3x60"},
        quiet={
            f'firstvalue_ingest_publish_failures_total{{{_INGEST},error="broker"}}': "0x5 3x60",
            f"firstvalue_engine_publish_failures_total{{{_ENGINE}}}": "0x60",
        },
    ),
    Alert(
        name="SecretExpiring",
        severity="ticket",
        expression="max(firstvalue_ingest_keys_expiring) > 0",
        hold="1h",
        summary="{{ $value }} API keys end within seven days",
        description="What sends or reads with them is refused afterwards; replace them and revoke the old ones.",
        panel=("ingest", "API keys about to end"),
        firing={f"firstvalue_ingest_keys_expiring{{{_INGEST}}}": "1x120"},
        quiet={f"firstvalue_ingest_keys_expiring{{{_INGEST}}}": "1x30 0x90"},
        after="90m",
    ),
    Alert(
        name="ResolverBehind",
        severity="ticket",
        expression="max(firstvalue_ingest_resolver_lag_seconds) > {120s}"
        " or absent(firstvalue_ingest_resolver_lag_seconds)",
        hold="10m",
        summary="Events without an account wait to be decided",
        description="No ingest decides whose they are, or it is behind by minutes: they count late, and erasures wait.",
        panel=("ingest", "Lag of the resolver"),
        firing={f'firstvalue_ingest_resolver_lag_seconds{{{_INGEST},partition="0"}}': "0+60x60"},
        quiet={f'firstvalue_ingest_resolver_lag_seconds{{{_INGEST},partition="0"}}': "0+60x10 1x60"},
    ),
)

_ENGINE_CAUSES = (
    Alert(
        name="ClockFrozen",
        severity="page",
        # An engine that began while it can claim nothing has no clock to tell of; one that is down is a dead target.
        expression="max(firstvalue_engine_clock_age_seconds) > {120s}"
        " or absent_over_time(firstvalue_engine_clock_age_seconds[5m]) * {300s}"
        ' and on () max(up{job="firstvalue-engine"}) == 1',
        hold="1m",
        summary="The clock of a partition stands still",
        description="The newest tick is {{ $value | humanizeDuration }} old: nobody is found to stall or to recover.",
        panel=("engine", "Clock age"),
        firing={f'firstvalue_engine_clock_age_seconds{{{_ENGINE},partition="0"}}': "5x5 60+60x60"},
        quiet={f'firstvalue_engine_clock_age_seconds{{{_ENGINE},partition="0"}}': "10x25 200 10x60"},
    ),
    Alert(
        name="ConsumerStalled",
        severity="ticket",
        expression="time() - max by (instance) (firstvalue_engine_last_progress_timestamp_seconds) > {120s}"
        " and on (instance) max by (instance) (firstvalue_engine_assigned_partitions) > 0",
        hold="2m",
        summary="{{ $labels.instance }} applies nothing",
        description="It owns partitions and committed nothing for {{ $value | humanizeDuration }}, not even a tick.",
        panel=("engine", "Time since the last commit"),
        firing={
            f"firstvalue_engine_last_progress_timestamp_seconds{{{_ENGINE}}}": "0x60",
            f"firstvalue_engine_assigned_partitions{{{_ENGINE}}}": "6x60",
        },
        quiet={
            f"firstvalue_engine_last_progress_timestamp_seconds{{{_ENGINE}}}": "0+60x60",
            f"firstvalue_engine_assigned_partitions{{{_ENGINE}}}": "6x60",
        },
    ),
    Alert(
        name="ConsumerMissing",
        severity="ticket",
        expression="sum(firstvalue_engine_assigned_partitions) + sum(firstvalue_engine_stopped_partitions)"
        " < max(firstvalue_engine_partitions)",
        hold="5m",
        summary="Partitions that no engine works on",
        description="Only {{ $value }} partitions have an owner: engines are missing, or cannot claim what is theirs.",
        panel=("engine", "Partitions"),
        firing={
            f"firstvalue_engine_assigned_partitions{{{_ENGINE}}}": "6x5 3x60",
            f'firstvalue_engine_stopped_partitions{{{_ENGINE},reason="recreated"}}': "0x60",
            f"firstvalue_engine_partitions{{{_ENGINE}}}": "6x60",
        },
        quiet={
            f"firstvalue_engine_assigned_partitions{{{_ENGINE}}}": "5x60",
            f'firstvalue_engine_stopped_partitions{{{_ENGINE},reason="recreated"}}': "1x60",
            f"firstvalue_engine_partitions{{{_ENGINE}}}": "6x60",
        },
    ),
    Alert(
        name="LagGrowing",
        severity="ticket",
        expression="max(firstvalue_engine_lag_seconds) > {120s}",
        hold="10m",
        summary="The engine is behind by {{ $value | humanizeDuration }}",
        description="Events wait for ten minutes already. Deadlines stand still meanwhile, and signals come late.",
        panel=("engine", "Lag"),
        firing={f'firstvalue_engine_lag_seconds{{{_ENGINE},partition="0"}}': "0+60x60"},
        quiet={f'firstvalue_engine_lag_seconds{{{_ENGINE},partition="0"}}': "0+60x8 0+10x60"},
    ),
    Alert(
        name="OffsetGap",
        severity="page",
        expression="sum(firstvalue_engine_stopped_partitions) > 0 or sum(firstvalue_notifier_sequence_missing) > 0",
        hold="1m",
        summary="The log is not the one that was applied",
        description="Records or signals are gone: {{ $value }}. What stopped waits for a decision and jumps nowhere.",
        panel=("engine", "Stopped partitions"),
        firing={
            f'firstvalue_engine_stopped_partitions{{{_ENGINE},reason="tail_lost"}}': "0x10 1x60",
            f"firstvalue_notifier_sequence_missing{{{_NOTIFIER}}}": "0x60",
        },
        quiet={
            f'firstvalue_engine_stopped_partitions{{{_ENGINE},reason="tail_lost"}}': "0x60",
            f"firstvalue_notifier_sequence_missing{{{_NOTIFIER}}}": "0x60",
        },
    ),
    Alert(
        name="RebalanceStorm",
        severity="ticket",
        expression="max(increase(firstvalue_engine_rebalances_total[15m])) > 10",
        hold="5m",
        summary="Partitions change hands all the time",
        description="{{ $value | humanize }} times in 15 minutes: engines restart, or miss the session timeout.",
        panel=("engine", "Rebalances"),
        firing={f"firstvalue_engine_rebalances_total{{{_ENGINE}}}": "0+2x60"},
        quiet={f"firstvalue_engine_rebalances_total{{{_ENGINE}}}": "1x10 6x60"},
    ),
    Alert(
        name="TimerLate",
        severity="ticket",
        expression="histogram_quantile(0.99, sum by (le) (rate(firstvalue_engine_timer_lateness_seconds_bucket[15m])))"
        " > 300",
        hold="10m",
        summary="Deadlines are noticed too late",
        description="One in a hundred is noticed {{ $value | humanizeDuration }} after it passed.",
        panel=("engine", "Timer lateness"),
        firing={
            f'firstvalue_engine_timer_lateness_seconds_bucket{{{_ENGINE},le="300.0"}}': "0x60",
            f'firstvalue_engine_timer_lateness_seconds_bucket{{{_ENGINE},le="900.0"}}': "0+5x60",
            f'firstvalue_engine_timer_lateness_seconds_bucket{{{_ENGINE},le="+Inf"}}': "0+5x60",
        },
        quiet={
            f'firstvalue_engine_timer_lateness_seconds_bucket{{{_ENGINE},le="15.0"}}': "0+5x60",
            f'firstvalue_engine_timer_lateness_seconds_bucket{{{_ENGINE},le="+Inf"}}': "0+5x60",
        },
    ),
    Alert(
        name="LargeStates",
        severity="ticket",
        expression='sum(rate(firstvalue_engine_large_states_total{above_bytes="1900"}[30m]))'
        " > 0.05 * sum(rate(firstvalue_engine_dirty_accounts_total[30m]))",
        hold="30m",
        summary="Account rows outgrow their page",
        description="More than one in twenty has over 1,900 bytes: above 2,000 each costs several times as much.",
        panel=("engine", "Large account rows written"),
        firing={
            f'firstvalue_engine_large_states_total{{{_ENGINE},above_bytes="1900"}}': "0+10x120",
            f"firstvalue_engine_dirty_accounts_total{{{_ENGINE}}}": "0+100x120",
        },
        quiet={
            f'firstvalue_engine_large_states_total{{{_ENGINE},above_bytes="1500"}}': "0+10x120",
            f'firstvalue_engine_large_states_total{{{_ENGINE},above_bytes="1900"}}': "0+4x120",
            f"firstvalue_engine_dirty_accounts_total{{{_ENGINE}}}": "0+100x120",
        },
        after="90m",
    ),
    Alert(
        name="StalledStorm",
        severity="ticket",
        expression='sum(increase(firstvalue_engine_signals_total{type="account.stalled"}[1h])) > 20'
        ' and sum(increase(firstvalue_engine_signals_total{type="account.stalled"}[1h]))'
        " > 0.1 * sum(max by (status) (firstvalue_engine_accounts))",
        hold="0s",
        summary="{{ $value | humanize }} accounts stalled within an hour",
        description="More than a tenth of all: rather a plan version, an import or missing events than the customers.",
        panel=("engine", "Signals"),
        firing={
            f'firstvalue_engine_signals_total{{{_ENGINE},type="account.stalled"}}': "0+2x60",
            f'firstvalue_engine_accounts{{{_ENGINE},status="stalled"}}': "90x60",
        },
        quiet={
            f'firstvalue_engine_signals_total{{{_ENGINE},type="account.stalled"}}': "0+2x60",
            f'firstvalue_engine_accounts{{{_ENGINE},status="on_track"}}': "2000x60",
        },
    ),
    Alert(
        name="AuditMismatch",
        severity="page",
        expression="max(firstvalue_engine_audit_differences) > 0",
        hold="0s",
        summary="The audit found {{ $value }} differences",
        description="What is stored of accounts or signals is not what the log says.",
        panel=("engine", "Audit differences"),
        firing={f"firstvalue_engine_audit_differences{{{_ENGINE}}}": "0x10 2x60"},
        quiet={f"firstvalue_engine_audit_differences{{{_ENGINE}}}": "2x10 0x60"},
    ),
    Alert(
        name="LedgerUnpublished",
        severity="ticket",
        expression="sum(min_over_time(firstvalue_engine_ledger_unpublished[15m])) > 0",
        hold="0s",
        summary="Signals wait in the ledger",
        description="{{ $value }} signals or more did not reach Kafka for 15 minutes; they will come late, not never.",
        panel=("engine", "Unpublished signals"),
        firing={f"firstvalue_engine_ledger_unpublished{{{_ENGINE}}}": "3x60"},
        quiet={f"firstvalue_engine_ledger_unpublished{{{_ENGINE}}}": "3x10 0 5x10 0 5x60"},
    ),
)

_NOTIFIER_CAUSES = (
    Alert(
        name="SignalsUnread",
        severity="ticket",
        # Not by what notifiers count: what one has read before its first scrape, or after its last, is in no increase.
        expression="sum(increase(firstvalue_engine_signals_total[15m])) > 0"
        " unless time() - max(firstvalue_notifier_intake_last_progress_timestamp_seconds) < {900s}",
        hold="5m",
        summary="The notifier reads no signals",
        description="The engine made {{ $value | humanize }} within 15 minutes; until they are read, nobody is told.",
        panel=("notifier", "Time since signals were read"),
        firing={
            f'firstvalue_engine_signals_total{{{_ENGINE},type="account.stalled"}}': "0+1x60",
            f"firstvalue_notifier_intake_last_progress_timestamp_seconds{{{_NOTIFIER}}}": "60x60",
        },
        # Read by a notifier that ended before it was scraped again; the next one began to count at nothing.
        quiet={
            f'firstvalue_engine_signals_total{{{_ENGINE},type="account.stalled"}}': "0x20 1x40",
            f'firstvalue_notifier_intake_signals_total{{{_NOTIFIER},outcome="new"}}': "7x20 0x40",
            f"firstvalue_notifier_intake_last_progress_timestamp_seconds{{{_NOTIFIER}}}": "60x20 1250x40",
        },
    ),
    Alert(
        name="NotifierBacklog",
        severity="ticket",
        expression="max(firstvalue_notifier_due_lag_seconds) > {300s}",
        hold="10m",
        summary="Deliveries are due and not attempted",
        description="The oldest is {{ $value | humanizeDuration }} late: too few notifiers, or slow endpoints.",
        panel=("notifier", "Due lag"),
        firing={f"firstvalue_notifier_due_lag_seconds{{{_NOTIFIER}}}": "0+60x60"},
        quiet={f"firstvalue_notifier_due_lag_seconds{{{_NOTIFIER}}}": "0+60x9 2x60"},
    ),
    Alert(
        name="BlockedAddressSpike",
        severity="ticket",
        expression="sum by (tier) (increase(firstvalue_notifier_blocked_address_total[15m])) > 10",
        hold="0s",
        summary="Endpoints resolve to {{ $labels.tier }} addresses",
        description="{{ $value | humanize }} connections refused in 15 minutes: a name moved, or somebody tries.",
        panel=("notifier", "Blocked addresses"),
        firing={f'firstvalue_notifier_blocked_address_total{{{_NOTIFIER},tier="metadata"}}': "0+2x60"},
        quiet={f'firstvalue_notifier_blocked_address_total{{{_NOTIFIER},tier="metadata"}}': "0x10 4x60"},
    ),
)

_SHARED = (
    Alert(
        name="DeadLettersArriving",
        severity="ticket",
        # Of the resolver's, those that no client caused.
        expression="sum by (job, reason) (increase(firstvalue_dead_letters_total[15m])) > 0 or sum by (job, reason)"
        ' (increase(firstvalue_ingest_resolver_events_total{reason="record_invalid"}[15m])) > 0',
        hold="0s",
        summary="Records are put aside as {{ $labels.reason }}",
        description="{{ $labels.job }} found {{ $value | humanize }} records in 15 minutes that it can never process.",
        panel=("overview", "Dead letters"),
        firing={f'firstvalue_dead_letters_total{{{_ENGINE},reason="unknown_command"}}': "0x20 1x60"},
        quiet={
            f'firstvalue_dead_letters_total{{{_ENGINE},reason="unknown_command"}}': "0x5 1x60",
            f'firstvalue_ingest_resolver_events_total{{{_INGEST},outcome="dead",reason="account_unknown"}}': "0+1x60",
        },
    ),
    Alert(
        name="PoolExhausted",
        severity="ticket",
        expression='sum by (job, instance) (firstvalue_db_pool_connections{state="in_use"})'
        ' >= sum by (job, instance) (firstvalue_db_pool_connections{state="max"}) > 0',
        hold="5m",
        summary="{{ $labels.instance }} has no free database connection",
        description="All connections of the pool have been in use for five minutes; whoever needs one waits.",
        panel=("overview", "Database connections in use"),
        firing={
            f'firstvalue_db_pool_connections{{{_ENGINE},state="in_use"}}': "5x60",
            f'firstvalue_db_pool_connections{{{_ENGINE},state="max"}}': "5x60",
        },
        quiet={
            f'firstvalue_db_pool_connections{{{_ENGINE},state="in_use"}}': "4x28 5 4x60",
            f'firstvalue_db_pool_connections{{{_ENGINE},state="max"}}': "5x60",
        },
    ),
    Alert(
        name="DatabaseErrors",
        severity="ticket",
        expression="sum by (job, sqlstate_class) (rate(firstvalue_db_errors_total[5m])) > 0.1",
        hold="5m",
        summary="{{ $labels.job }}: database errors of class {{ $labels.sqlstate_class }}",
        description="{{ $value | humanize }} calls fail per second. Work waits and is repeated; nothing is lost.",
        panel=("overview", "Database errors"),
        firing={f'firstvalue_db_errors_total{{{_ENGINE},sqlstate_class="connection"}}': "0+30x60"},
        quiet={f'firstvalue_db_errors_total{{{_ENGINE},sqlstate_class="connection"}}': "0+2x60"},
    ),
    Alert(
        name="Watchdog",
        severity="none",
        expression="vector(1)",
        hold="0s",
        summary="Alerting works",
        description="Fires always. Whoever is told of alerts should miss this one when it stops.",
        panel=("overview", "Processes up"),
        firing={},
        quiet={},
    ),
)

CAUSES = (*_INTAKE, *_ENGINE_CAUSES, *_NOTIFIER_CAUSES, *_SHARED)
