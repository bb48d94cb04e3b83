"""Stories about single risks and opportunities, under a plan that has no trouble of its own."""

from __future__ import annotations

import msgspec

from services.activation_engine.domain.conditions import Leaf, MilestoneReached
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.trackers import LastTracker, Selector, tracker
from services.activation_engine.domain.watches import Watch
from tests.builders import DAY_MS, command, day, plan, plan_set
from tests.unit.engine.story import Story

CALM = plan("""
plan: small
milestones:
  data: {when: "Data.Imported"}
  output: {when: "Report.Made"}
  more: {when: "More.Done"}
first_value: output
""")
OUTPUT = MilestoneReached("output", "Output")


def newest(name: str) -> Leaf:
    """The newest event of a name."""
    return Leaf(tracker(LastTracker, Selector((name,))), name)


def watching(*watches: Watch, **changes: object) -> Story:
    """A story under a plan that has no trouble of its own and these watches."""
    risks = tuple(one for one in watches if not one.opportunity)
    opportunities = tuple(one for one in watches if one.opportunity)
    watched: Plan = msgspec.structs.replace(CALM, risks=risks, opportunities=opportunities, **changes)
    return Story(plan_set([watched]))


def days(number: float) -> int:
    """So many days in milliseconds."""
    return round(number * DAY_MS)


def notes(story: Story, *named: tuple[str, float]) -> None:
    """Notes of these names, a day each."""
    story.happens(*(command("note", day(at), event=name) for name, at in named))
