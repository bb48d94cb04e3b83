"""Insights as tables: the whole first, then the cohorts, with bars where a share is compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.cli.charts import bar, days, percent
from services.cli.output import print_table, say

Answer = dict[str, Any]
CURVE_LINES_MAX = 15
_FUNNEL_DAYS = ("median_days", "p90_days", "step_median_days", "step_p90_days")


def _rows(answer: Answer) -> Iterable[tuple[str, Answer]]:
    """The whole and the cohorts, each with what it is called."""
    yield "all", answer["total"]
    for one in answer["cohorts"]:
        yield one["cohort"] or "none", one


def show_status(answer: Answer) -> None:
    """Accounts by status, a line per cohort."""
    statuses = list(answer["total"]["statuses"])
    lines = ((name, one["accounts"], *(one["statuses"][status] for status in statuses)) for name, one in _rows(answer))
    print_table((answer["by"], "accounts", *(one.replace("_", " ") for one in statuses)), lines, empty="no accounts")


def show_funnel(answer: Answer) -> None:
    """A line per milestone, then shares by cohort."""
    titles = ("milestone", "required", "reached", "share", "", *(name.replace("_", " ") for name in _FUNNEL_DAYS))
    lines = (
        (
            *(one["title"], one["required"], one["reached"], percent(one["share"]), bar(one["share"])),
            *(days(one[name]) for name in _FUNNEL_DAYS),
        )
        for one in answer["total"]["milestones"]
    )
    print_table(titles, lines, empty="no milestones")
    say("\nShare of started accounts by cohort; days are plan days, of those that reached the milestone.")
    cohorts = (
        (name, one["accounts"], *(percent(milestone["share"]) for milestone in one["milestones"]))
        for name, one in _rows(answer)
    )
    print_table((answer["by"], "started", *(one["title"] for one in answer["total"]["milestones"])), cohorts, empty="")


def show_ttfv(answer: Answer) -> None:
    """A line per cohort, then the curve of all."""
    titles = (answer["by"], "started", "reached", "in window", "95 %", "median days", "p90 days", "naive median days")
    print_table(titles, (_timing_line(name, one) for name, one in _rows(answer)), empty="no accounts")
    curve = answer["total"]["curve"]
    if curve:
        say("\nReached first value, by days after the start:")
        every = max(1, -(-len(curve) // CURVE_LINES_MAX))
        chosen = [*curve[every - 1 :: every], *([curve[-1]] if len(curve) % every else [])]
        lines = ((days(one["day"]), percent(one["rate"]), bar(one["rate"]), one["at_risk"]) for one in chosen)
        print_table(("day", "share", "", "at risk"), lines, empty="")


def _timing_line(name: str, one: Answer) -> tuple[Any, ...]:
    rate = one["activation_rate"]
    interval = None if rate["low"] is None else f"{percent(rate['low'])}-{percent(rate['high'])}"
    lengths = (days(one[part]) for part in ("median_days", "p90_days", "naive_median_days"))
    return (name, one["accounts"], one["reached"], percent(rate["rate"]), interval, *lengths)


def show_adoption(answer: Answer) -> None:
    """A line per cohort, then how adoption is spread, and who uses which core feature."""
    bands = ("none", "low", "medium", "high")
    lines = (
        (name, one["accounts"], percent(one["mean_adoption"]), *(one["bands"][band] for band in bands))
        for name, one in _rows(answer)
    )
    print_table((answer["by"], "accounts", "adoption", *bands), lines, empty="no accounts")
    say("\nActive days of the last 30: none 0, low 1-4, medium 5-12, high 13 and more.")
    total = answer["total"]
    spread = (
        (percent(one["adoption"]), one["accounts"], bar(one["accounts"] / total["accounts"]))
        for one in total["distribution"]
    )
    if total["distribution"]:
        say("")
        print_table(("of core features", "accounts", ""), spread, empty="")
        say("")
        used = (
            (one["feature"], one["accounts"], percent(one["share"]), bar(one["share"])) for one in total["features"]
        )
        print_table(("core feature", "accounts", "share", ""), used, empty="")


def show_obstacles(answer: Answer) -> None:
    """A line per milestone that accounts wait for."""
    titles = ("waiting for", "accounts", "", "at risk", "stalled", "median days", "p90 days", "last events")
    lines = (
        (
            *(one["title"], one["accounts"], bar(one["accounts"] / answer["accounts"]), one["at_risk"], one["stalled"]),
            *(days(one["waiting_median_days"]), days(one["waiting_p90_days"])),
            ", ".join(f"{last['event']} {last['accounts']}" for last in one["last_events"]) or None,
        )
        for one in answer["obstacles"]
    )
    print_table(titles, lines, empty="no account is on the way")


def show_owners(answer: Answer) -> None:
    """A line per owner."""
    counts = ("accounts", "started", "activated", "at_risk", "stalled")
    lines = (
        (
            one["owner"],
            *(one[name] for name in counts),
            percent(one["activation_rate"]["rate"]),
            days(one["median_days"]),
        )
        for one in answer["owners"]
    )
    titles = ("owner", *(name.replace("_", " ") for name in counts), "in window", "median days")
    print_table(titles, lines, empty="no accounts")


def show_surprises(answer: Answer) -> None:
    """A line per event name."""
    lines = ((one["event"], one["count"], one["first_seen_at"], one["last_seen_at"]) for one in answer["events"])
    print_table(("event", "count", "first seen", "last seen"), lines, empty="no surprises")
