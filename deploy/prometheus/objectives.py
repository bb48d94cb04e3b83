"""The objectives over 30 days: what counts as bad, of what, and how fast that may use up what is allowed."""

from __future__ import annotations

from dataclasses import dataclass

WINDOWS = ("5m", "30m", "1h", "6h", "3d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`target` is the share that has to be good. `bad` and `total` are expressions over a range `[w]`; below
    `events_min` of `total` in the long window nothing is concluded."""

    name: str
    metric: str
    title: str
    target: float
    bad: str
    total: str
    events_min: int
    means: str
    panel: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """The error budget burns `factor` times as fast as allowed, over both windows. Source: Google, The Site Reliability
    Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"."""

    suffix: str
    factor: float
    long: str
    short: str
    severity: str


BURNS = (
    Burn(suffix="BurnsFast", factor=14.4, long="1h", short="5m", severity="page"),
    Burn(suffix="Burns", factor=6, long="6h", short="30m", severity="page"),
    Burn(suffix="BurnsSlowly", factor=1, long="3d", short="6h", severity="ticket"),
)

OBJECTIVES = (
    Objective(
        name="IngestAvailability",
        metric="ingest_requests_failed",
        title="Ingest answers",
        target=0.999,
        # A 429 is a key over its own quota, as somebody wanted; what overloads ingest is answered 503.
        bad='sum(rate(firstvalue_ingest_requests_total{code=~"5.."}[w]))',
        total="sum(rate(firstvalue_ingest_requests_total[w]))",
        events_min=100,
        means="requests are answered with an error of ours, overload included, so that clients have to send again",
        panel=("ingest", "Failed share of requests"),
    ),
    Objective(
        name="IngestLatency",
        metric="ingest_requests_slow",
        title="Ingest answers within 250 ms",
        target=0.99,
        bad="sum(rate(firstvalue_ingest_request_duration_seconds_count[w]))"
        ' - sum(rate(firstvalue_ingest_request_duration_seconds_bucket{le="0.25"}[w]))',
        total="sum(rate(firstvalue_ingest_request_duration_seconds_count[w]))",
        events_min=100,
        means="requests take longer than 250 ms",
        panel=("ingest", "Request duration"),
    ),
    Objective(
        name="Freshness",
        metric="engine_events_stale",
        title="Events are applied within 60 s",
        target=0.999,
        bad='sum(rate(firstvalue_engine_fresh_events_total{fresh="false"}[w]))',
        total="sum(rate(firstvalue_engine_fresh_events_total[w]))",
        events_min=100,
        means="accepted events are applied later than 60 s, so that signals come late",
        panel=("engine", "Share applied too late"),
    ),
    Objective(
        name="FirstAttempts",
        metric="notifier_first_attempts_late",
        title="First attempts within 60 s",
        target=0.99,
        bad="sum(rate(firstvalue_notifier_first_attempt_delay_seconds_count[w]))"
        ' - sum(rate(firstvalue_notifier_first_attempt_delay_seconds_bucket{le="60.0"}[w]))',
        total="sum(rate(firstvalue_notifier_first_attempt_delay_seconds_count[w]))",
        events_min=20,
        means="signals are first tried later than 60 s after they could have been",
        panel=("notifier", "First attempts"),
    ),
    Objective(
        name="Delivered",
        metric="notifier_deliveries_lost",
        title="Healthy endpoints get their signals",
        target=0.999,
        bad='sum(rate(firstvalue_notifier_healthy_deliveries_total{outcome="exhausted"}[w]))',
        total="sum(rate(firstvalue_notifier_healthy_deliveries_total[w]))",
        events_min=20,
        means="deliveries are given up although their endpoint answered 2xx within the hour before",
        panel=("notifier", "Deliveries given up"),
    ),
)


def ratio_record(objective: Objective, window: str) -> str:
    """The series that holds the bad share over `window`."""
    return f"deployment:{objective.metric}:ratio_rate{window}"


def total_record(objective: Objective, window: str) -> str:
    """The series that holds how many there were in `window`."""
    return f"deployment:{objective.metric}:total_increase{window}"
