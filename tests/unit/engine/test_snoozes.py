"""What an explanation says of snoozes: those that are on, and those that mute nothing."""

from __future__ import annotations

from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.instants import rfc3339
from tests.builders import SMALL_PLAN, command, day, event, plan, plan_set
from tests.unit.engine.story import Story


def test_snoozes_are_explained() -> None:
    """By name: a kind, a risk of the plan, one that is misspelt; not one that is over."""
    story = Story(plan_set([plan(SMALL_PLAN + "risks: {alone: {quiet: anyone, for: 20d}}\n")]))
    story.happens(event(at=day(0)))
    for kind, until in (("stalled", 9), ("alone", 8), ("allone", 7), ("recovered", 3)):
        story.happens(command("snooze", day(0), kind=kind, until=rfc3339(day(until))))
    story.until(5)
    told = explain(story.accounts["acme"], story.plans, story.clock)
    assert [(one["kind"], one["until"], one["mutes"]) for one in told["snoozes"]] == [
        ("allone", rfc3339(day(7)), False),
        ("alone", rfc3339(day(8)), True),
        ("stalled", rfc3339(day(9)), True),
    ]
    assert told["text"].startswith(told["plans"][0]["text"])
    assert (
        "allone is snoozed until 2026-11-09T00:00:00Z (no such kind, risk or opportunity in its plans: mutes nothing)."
        in told["text"]
    )
    assert "alone is snoozed until 2026-11-10T00:00:00Z." in told["text"]
