"""What a publication says that a version leaves out."""

from __future__ import annotations

import pytest

from services.activation_engine.plan_publisher import COMES_DAYS, left_out
from services.activation_engine.plans.advice import SeenName
from tests.builders import DAY_MS, SMALL_PLAN, plan

ALIASED = SMALL_PLAN.replace("[Data Imported]", "[Data Imported, Data Loaded, Data Pushed]")
SHORTER = SMALL_PLAN.replace("  habit: {when: {event: report.made, count: 3}, required: false}\n", "")
SEEN = [
    SeenName("Data Imported"),
    SeenName("Data Loaded"),
    SeenName("Data Pushed", silent=True),
    SeenName("Page Viewed"),
    SeenName("Report Made"),
]


@pytest.mark.parametrize(
    ("before", "after", "milestones", "events"),
    [
        (ALIASED, SMALL_PLAN, [], ["Data Loaded"]),
        (SMALL_PLAN, ALIASED, [], []),
        (SMALL_PLAN, SHORTER, ["habit"], []),
        (SHORTER, SMALL_PLAN, [], []),
    ],
)
def test_what_a_version_leaves_out(before: str, after: str, milestones: list[str], events: list[str]) -> None:
    """Milestones, and of events those that come: not what was never asked for, nor what has stopped."""
    assert left_out(plan(before), plan(after), SEEN) == (milestones, events)


@pytest.mark.parametrize(("days", "day", "events"), [(89.9, "24h", ["Data Loaded"]), (90, "24h", []), (1, "2s", [])])
def test_what_came_long_ago_is_not_missed(days: float, day: str, events: list[str]) -> None:
    """A spelling that nobody has sent for a quarter of a year of the plan is taken out at leisure."""
    before, after = (plan(f"day: {day}\n{text}") for text in (ALIASED, SMALL_PLAN))
    seen = [SeenName("Data Loaded", ago_ms=int(days * DAY_MS))]
    assert COMES_DAYS == 90
    assert left_out(before, after, seen) == ([], events)
