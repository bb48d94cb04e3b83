"""What the plan language lets one write at most does not stop the engine, at whatever record it shows."""

from __future__ import annotations

import msgspec

from services.activation_engine.commit_plan import PAYLOAD_BYTES_MAX, Outward, payload_of
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.signals import to_payload
from services.activation_engine.plans.loader import plan_from_content
from tests.builders import day, event, plan, plan_set, traits
from tests.unit.engine.story import Story


def test_a_condition_that_takes_long_to_say_leaves_a_signal_its_room() -> None:
    """A plan file may say 64 KiB about one event. A signal that did would stop its partition."""
    values = msgspec.json.encode([f"{number} \N{GRINNING FACE}" * 30 for number in range(200)]).decode()
    long = f"{{event: a.b, where: {{kind: {{in: {values}}}}}}}"
    story = Story(
        plan_set(
            [
                plan(f"""
plan: long
milestones:
  first: {{due: 3d, when: {long}}}
  then: {{due: 5d, needs: [first], when: {{all: [c.d, {long}]}}}}
first_value: then
stalled: {{overdue: 10d, quiet: 40d}}
escalate: {{at: 30d, unless: {long}, to: owner}}
risks:
  open: {{after: c.d, until: {long}, unless: {{count: 2, event: a.b}}, for: 1d}}
""")
            ]
        )
    )
    assert story.happens(event("c.d", day(0)))
    assert story.until(35)
    assert story.happens(event("a.b", day(35), properties={"kind": "7 \N{GRINNING FACE}" * 30}))
    kinds = {one.type.removeprefix("account.") for one in story.signals}
    assert {"at_risk", "stalled", "escalated", "risk_opened", "milestone_reached"} <= kinds
    assert max(len(payload_of(one, Outward())) for one in story.signals) < PAYLOAD_BYTES_MAX / 2


def test_the_latest_date_that_a_plan_can_give_stays_within_the_calendar() -> None:
    """One beyond the year 9999 would end the engine at the same record again and again."""
    late = """
plan: late
day: 7d
start: [contract_start]
segments: {slow: {pace: 100}, else: slow}
milestones:
  first: {due: week 520, when: a.b}
first_value: first
"""
    story = Story(plan_set([plan(late)]))
    story.happens(traits(day(0), contract_start="2199-12-31"), event("a.b", day(1)))
    (reached,) = [one for one in story.signals if one.type == "account.milestone_reached"]
    assert str(to_payload(reached)["due_at"]).startswith("9176-")
    assert explain(story.accounts["acme"], story.plans, story.clock)["plans"]


def test_what_was_published_before_it_was_refused_still_runs() -> None:
    """An earlier release took days of years and tests without a value; their versions are loaded at every start."""
    stored = plan_from_content(
        {
            "plan": "old",
            "day": "3650d",
            "segments": {"slow": {"pace": 100.0}, "else": "slow"},
            "milestones": {
                "first": {"due": "week 520", "when": "a.b"},
                "never": {"required": False, "when": {"event": "a.b", "where": {"rows": {"gte": None}}}},
            },
            "first_value": "first",
        }
    ).plan
    story = Story(plan_set([stored]))
    story.happens(event("c.d", day(0)))
    assert explain(story.accounts["acme"], story.plans, story.clock)["plans"]
    story.happens(event("a.b", day(1), properties={"rows": 5}))
    (reached,) = [one for one in story.signals if one.type == "account.milestone_reached"]
    assert to_payload(reached)["due_at"] == "9999-12-31T23:59:59Z"
