"""Do signals arrive somewhere?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from services.cli.doctor.findings import Finding, fine, note, problem
from services.cli.doctor.look import Look
from services.cli.output import counted

# What is due is sent within a second.
_OVERDUE_SECONDS_MAX = 120.0
# Digests leave by themselves.
_DIGEST = "digest"


def endpoints_take_signals(look: Look) -> Iterator[Finding]:
    """Each endpoint, by what the notifier says of it."""
    endpoints = look.answers.get("endpoints")
    if endpoints is None:
        return
    if not endpoints:
        yield note("endpoints", "no endpoint: signals go nowhere", "add one with `firstvalue endpoint add URL`")
    for one in endpoints:
        name = f"endpoint {one['id']} ({one['url']})"
        if one["status"] == "disabled":
            why = f", {one['disabled_reason']}" if one.get("disabled_reason") else ""
            do = f"mend the receiver, then `firstvalue endpoint enable {one['id']}`"
            yield problem("endpoints", f"{name} is disabled{why}", do)
        elif one["status"] != "enabled":
            since = f" since {one['failing_since']}" if one.get("failing_since") else ""
            do = f"`firstvalue delivery list --endpoint {one['id']}` shows what it answers"
            yield problem("endpoints", f"{name} is {one['status']}{since}", do)
        else:
            yield fine("endpoints", f"{name} takes signals")


def endpoints_name_live_plans(look: Look) -> Iterator[Finding]:
    """Those that take signals of some plans only."""
    plans = look.answers.get("plans")
    if plans is None:
        return
    live = {plan["plan"] for plan in plans}
    for one in look.answers.get("endpoints") or ():
        if unlive := sorted(set(one["plans"]) - live):
            yield note(
                "endpoints",
                f"endpoint {one['id']} asks for signals of {', '.join(unlive)}, and no such plan is live",
                f"name a live one with `firstvalue endpoint patch {one['id']} --plan PLAN`, or publish it",
            )


def nothing_is_held(look: Look) -> Iterator[Finding]:
    """What is kept back of the newest deliveries, by endpoint and cause."""
    rows = [row for row in look.answers.get("held") or () if row["hold_reason"] != _DIGEST]
    for (endpoint, reason), count in Counter((row["endpoint_id"], row["hold_reason"]) for row in rows).most_common():
        told = f"{counted(count, 'held delivery', 'held deliveries')} of {endpoint}"
        if reason == "disabled":
            do = f"`firstvalue endpoint enable {endpoint} --send-held` sends them; else they end with their retention"
            yield note("held", f"{told}: it was disabled when they came", do)
        else:
            do = f"make the receiver faster, or allow `firstvalue endpoint patch {endpoint} --concurrency` more"
            yield problem("held", f"{told}: more wait for it than it takes", do)


def what_is_due_is_sent(look: Look) -> Iterator[Finding]:
    """To endpoints that nothing keeps it from: they take signals, at any time and pace."""
    endpoints, rows = look.answers.get("endpoints"), look.answers.get("waiting")
    if not endpoints or rows is None:
        return
    open_ones = {one["id"] for one in endpoints if _is_open(one)}
    ages = [(_overdue_seconds(look, row), row["id"]) for row in rows if row["endpoint_id"] in open_ones]
    overdue = [one for one in ages if one[0] > _OVERDUE_SECONDS_MAX]
    if not overdue:
        yield fine("deliveries", "no delivery is overdue")
        return
    seconds, oldest = max(overdue)
    yield problem(
        "deliveries",
        f"{counted(len(overdue), 'overdue delivery', 'overdue deliveries')}, the oldest for {seconds:.0f} s",
        f"`firstvalue delivery show {oldest}` tells whether its endpoint asked to wait; else see the notifier's log",
    )


def _is_open(endpoint: dict[str, Any]) -> bool:
    return endpoint["status"] == "enabled" and endpoint["window_open"] and endpoint["rate_per_second"] is None


def _overdue_seconds(look: Look, row: dict[str, Any]) -> float:
    next_at = row["next_at"]
    return (look.now - datetime.fromisoformat(next_at)).total_seconds() if next_at else 0.0
