"""Alerts on how fast an objective's error budget is used up, made from the objectives."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.prometheus.alerts import Alert
from deploy.prometheus.objectives import BURNS, OBJECTIVES, Burn, Objective, ratio_record, total_record

# Series of the raw metrics, one value a minute, with a fifth of all bad, with none bad, and too few to conclude.
_Kinds = Mapping[str, Mapping[str, str]]


def _series(good: str, bad: str, both: str | None = None, *, harmless: str | None = None) -> _Kinds:
    """`bad` counts what is bad; `good` the rest or, when `both` is given, is what `both` contains besides. `harmless`
    only looks bad."""
    bad_part, few = ("0+60x480", "0x419 1x60") if both is None else ("0+300x480", "0x419 1x60")
    return {
        "firing": {good: "0+240x480", bad: bad_part},
        "quiet": {good: "0+300x480", bad: "0x480" if both is None else "0+300x480"}
        | ({harmless: "0+60x480"} if harmless else {}),
        "few": {good: "0x480", bad: few},
    }


_RAW: Mapping[str, _Kinds] = {
    "IngestAvailability": _series(
        'firstvalue_ingest_requests_total{code="200"}',
        'firstvalue_ingest_requests_total{code="503"}',
        harmless='firstvalue_ingest_requests_total{code="429"}',
    ),
    "IngestLatency": _series(
        'firstvalue_ingest_request_duration_seconds_bucket{le="0.25"}',
        "firstvalue_ingest_request_duration_seconds_count",
        both="count",
    ),
    "Freshness": _series(
        'firstvalue_engine_fresh_events_total{fresh="true"}', 'firstvalue_engine_fresh_events_total{fresh="false"}'
    ),
    "FirstAttempts": _series(
        'firstvalue_notifier_first_attempt_delay_seconds_bucket{le="60.0"}',
        "firstvalue_notifier_first_attempt_delay_seconds_count",
        both="count",
    ),
    "Delivered": _series(
        'firstvalue_notifier_healthy_deliveries_total{outcome="delivered"}',
        'firstvalue_notifier_healthy_deliveries_total{outcome="exhausted"}',
    ),
}


def _alert(objective: Objective, burn: Burn) -> Alert:
    limit = f"{burn.factor:g} * {1 - objective.target:.4g}"
    ratios = " and ".join(f"{ratio_record(objective, window)} > {limit}" for window in (burn.long, burn.short))
    raw = _RAW[objective.name]
    return Alert(
        name=f"{objective.name}{burn.suffix}",
        severity=burn.severity,
        expression=f"{ratios} and {total_record(objective, burn.long)} > {objective.events_min}",
        hold="0s",
        summary=f"{objective.title}: the error budget burns {burn.factor:g} times too fast",
        description=f"{{{{ $value | humanizePercentage }}}} of {burn.long}: {objective.means}.",
        panel=objective.panel,
        firing=raw["firing"],
        quiet=raw["quiet"],
        after="7h",
        runbook=objective.name,
    )


BURNING = tuple(_alert(objective, burn) for objective in OBJECTIVES for burn in BURNS)
# With too little traffic to conclude anything, no objective may raise an alarm, however bad the little is.
TOO_FEW = {name: raw["few"] for name, raw in _RAW.items()}
