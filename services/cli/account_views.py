"""One account for a person: where it stands under each plan, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.cli.output import print_table, say

Answer = dict[str, Any]


def about(time: str | None) -> str | None:
    """The day of what is only known to within one; None stays None."""
    return None if time is None else f"about {time[:10]}"


def diagnosis_text(diagnosis: Answer) -> str:
    """What a person said is wrong, and what is to be done."""
    action = diagnosis.get("action")
    return f"diagnosed as {diagnosis['cause']}{f', action {action}' if action else ''}"


def show_account(account: Answer, closed: Mapping[str, str] | None = None) -> None:
    """Its traits and people, then a block per plan; `closed` tells of plans that ended by hand why."""
    say(f"{account['id']}, last active {about(account['last_activity_at']) or 'never'}")
    if diagnosis := account["diagnosis"]:
        say(f"{diagnosis_text(diagnosis)}, at {diagnosis['at']}")
    if account["traits"]:
        say("")
        print_table(("trait", "value"), account["traits"].items(), empty="")
    if account["people"]:
        people = ((one["id"], one["role"], about(one["last_seen_at"])) for one in account["people"])
        say("")
        print_table(("person", "role", "last seen"), people, empty="")
    for plan in account["plans"]:
        say(f"\n{plan['plan']} version {plan['version']}: {_standing(plan)}")
        if plan["plan"] in (closed or {}):
            say((closed or {})[plan["plan"]])
        milestones = (
            (one["id"], one["title"], one["required"], one["due_at"], _reached(one, "reached_at"))
            for one in plan["milestones"]
        )
        print_table(("milestone", "title", "required", "due", "reached"), milestones, empty="no milestones")
        for kind, watches in _watches(plan):
            for one in watches:
                closes = f", closes {one['closes_at']}" if one.get("closes_at") else ""
                say(f"{kind} {one['id']} ({one['title']}) open since {one['opened_at']}{closes}: {one['reason']}")
    if not account["plans"]:
        say("\nno plan applies")


def show_explanation(explanation: Answer) -> None:
    """A block per plan: why the status is what it is, what would change it, and how far each milestone is."""
    if not explanation["plans"]:
        say(explanation["text"])
        return
    for number, plan in enumerate(explanation["plans"]):
        if number:
            say("")
        say(plan["text"])
        milestones = (
            (one["milestone"], _title(one), _progress(one), one["due_at"], _reached(one, "at"))
            for one in plan["conditions"]
        )
        print_table(("milestone", "title", "measured", "due", "reached"), milestones, empty="no milestones")
        for kind, watches in _watches(plan):
            for one in watches:
                if one["open"]:
                    say(f"{kind} {one['id']} ({one['title']}) open since {one['opened_at']}: {one['rule']}")
    if active := about(explanation["last_activity_at"]):
        say(f"\nlast active {active}, beginning with {explanation['last_event']}")
    for one in explanation["snoozes"]:
        doubt = "" if one["mutes"] else ", but no plan of this account has that: it mutes nothing"
        say(f"\n{one['kind']} is snoozed until {one['until']}{doubt}")


def _watches(plan: Answer) -> tuple[tuple[str, list[Answer]], ...]:
    return ("risk", plan["risks"]), ("opportunity", plan["opportunities"])


def _standing(plan: Answer) -> str:
    reason = f" ({plan['reason']})" if plan["reason"] else ""
    verb = "starts" if plan["status"] == "not_started" else "started"
    started = f"{verb} {plan['started_at']}" if plan["started_at"] else "no start yet"
    value = f", first value {plan['first_value_at']}" if plan["first_value_at"] else ""
    return f"{plan['status']}{reason}, {started}{value}, {plan['completion_rate']:.0%} done"


def _reached(milestone: Answer, field: str) -> str | None:
    """When, and whether only an earlier version of the plan says so."""
    at: str | None = milestone[field]
    return f"{at} (superseded)" if milestone.get("superseded") else at


def _title(condition: Answer) -> str:
    optional = not (condition["required"] or condition["waived"])
    return f"{condition['title']} (optional)" if optional else condition["title"]


def _progress(condition: Answer) -> str | None:
    if condition["waived"]:
        return "waived"
    measured, threshold = condition["measured"], condition["threshold"]
    if condition["met"] and not condition["superseded"] and (measured or 0) < (threshold or 0):
        return "by hand"
    return None if threshold is None else f"{measured or 0} of {threshold}"
