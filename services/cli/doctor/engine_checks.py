"""Does the engine keep up, does its clock move, and is there a plan that the events can reach?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from services.activation_engine.plans.advice import advise, never_sent, seen_names
from services.activation_engine.plans.errors import PlanErrors
from services.cli.doctor.findings import Finding, fine, note, problem
from services.cli.doctor.look import Look

# Ticks come every ten seconds, every minute at most.
_BEHIND_SECONDS_MAX = 90.0
_NAMES_SHOWN = 6


def partitions_run(look: Look) -> Iterator[Finding]:
    """None is stopped, each has an owner."""
    rows = look.answers.get("partitions")
    if rows is None:
        return
    stopped = [row for row in rows if row["state"] == "stopped"]
    for row in stopped:
        yield problem(
            "partitions",
            f"partition {row['partition']} is stopped: {row['problem']}",
            f"`firstvalue ops resume {row['partition']}` lets it go on from a place that you choose",
        )
    unclaimed = [row["partition"] for row in rows if row["state"] == "unclaimed"]
    if unclaimed or not rows:
        which = f"partitions {', '.join(map(str, unclaimed))}" if rows else "any partition"
        yield problem("partitions", f"nobody works on {which}", "start an engine, or see why it is not ready")
    elif not stopped:
        yield fine("partitions", f"all {len(rows)} partitions run")


def engine_keeps_up(look: Look) -> Iterator[Finding]:
    """What it applied last is not old: else it lags, or nobody sends the ticks that are its clock."""
    rows = [row for row in look.answers.get("partitions") or () if row["state"] == "running"]
    late = [row for row in rows if row["last_append_at"] is None or _age(look, row) > _BEHIND_SECONDS_MAX]
    if not rows:
        return
    if not late:
        yield fine("clock", "the clock moves in every partition")
    elif not look.reached("ingest") or not all(look.ready.get("ingest", {}).values()):
        yield problem(
            "clock",
            f"the clock stands still in {len(late)} of {len(rows)} partitions: no ingest sends ticks",
            "nothing becomes due until one does: start ingest, or see above why it is not ready",
        )
    elif not any(row["last_append_at"] for row in rows):
        yield note("clock", "nothing was applied yet", "ingest sends a tick every ten seconds: run doctor again then")
    else:
        worst = max((_age(look, row) for row in late if row["last_append_at"]), default=0.0)
        yield problem(
            "lag",
            f"the engine is behind in {len(late)} of {len(rows)} partitions, by {worst:.0f} s at most",
            "if it does not fall, see the engine's log and `firstvalue ops partitions`",
        )
    if any(row["holding"] for row in rows):
        yield note("clock", "deadlines are held for a while after an outage, until what was missed has come")


def a_plan_is_live(look: Look) -> Iterator[Finding]:
    """At least one."""
    plans = look.answers.get("plans")
    if plans:
        yield fine("plans", f"live: {', '.join(plan['plan'] for plan in plans)}")
    elif plans is not None:
        yield problem(
            "plans",
            "no plan is live, so no account is judged",
            "write one with `firstvalue plan new` and publish it with `firstvalue plan publish plan.yaml`",
        )


def plans_name_what_comes(look: Look) -> Iterator[Finding]:
    """Of the event names in plans, those that came; a plan of which none did is probably misspelt."""
    names = look.answers.get("names")
    if not names:
        return
    for plan in look.answers.get("plans") or ():
        missing = _missing(plan, names)
        matched = [one["name"] for one in names if plan["plan"] in one["used_by"]]
        told = ", ".join(missing[:_NAMES_SHOWN]) + (", …" if len(missing) > _NAMES_SHOWN else "")
        do = "write the names that you send in the plan's `events`; `firstvalue event names` lists those that came"
        if missing and not matched:
            yield problem("names", f"no event that came is one of plan {plan['plan']}; it waits for {told}", do)
        elif missing:
            yield note("names", f"plan {plan['plan']} waits for events that never came: {told}", do)
        else:
            yield fine("names", f"every event of plan {plan['plan']} has come")


def names_are_spelt_one_way(look: Look) -> Iterator[Finding]:
    """Names of events are told apart by every character: what is nearly a plan's name counts for no plan."""
    names = look.answers.get("names") or ()
    used = {_letters(one["name"]): one["name"] for one in names if one["used_by"]}
    twins = [
        (one["name"], used[_letters(one["name"])])
        for one in names
        if not one["used_by"] and _letters(one["name"]) in used
    ]
    if twins:
        told = ", ".join(f"`{name}` beside `{meant}`" for name, meant in twins[:_NAMES_SHOWN])
        do = "send one spelling, or list both in the plan's `events`: upper and lower case, blanks and signs count"
        yield note(
            "names", f"events came under a name that no plan uses, and nearly under one that is used: {told}", do
        )


def names_keep_coming(look: Look) -> Iterator[Finding]:
    """Those that plans use and that used to come daily."""
    silent = [one["name"] for one in look.answers.get("names") or () if one["silent"]]
    if silent:
        message = f"used to come daily and have stopped: {', '.join(silent[:_NAMES_SHOWN])}"
        yield problem("names", message, "look whether the product still sends them, under this name")


def _letters(name: str) -> str:
    """What two spellings of one name have in common."""
    return "".join(filter(str.isalnum, name)).casefold() or name


def _missing(plan: dict[str, Any], names: list[dict[str, Any]]) -> list[str]:
    """Names that never came, with the nearest that did."""
    try:
        warnings = advise(plan["source"], file=f"{plan['plan']}.yaml", seen=seen_names(names))
    except PlanErrors:
        return []
    return [f"{one.name}" + (f" (nearest: {one.nearest})" if one.nearest else "") for one in never_sent(warnings)]


def _age(look: Look, row: dict[str, Any]) -> float:
    return (look.now - datetime.fromisoformat(row["last_append_at"])).total_seconds()
