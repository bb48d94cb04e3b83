"""The language as a whole: any valid plan compiles, is stored and read as the same, and can be said in English."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from services.activation_engine.domain.activity import ActivityRule
from services.activation_engine.domain.conditions import AtLeast, Leaf, MilestoneReached
from services.activation_engine.domain.trackers import (
    EVERY_EVENT,
    NO_EVENT,
    DaysTracker,
    LastTracker,
    PeopleTracker,
    Selector,
)
from services.activation_engine.domain.watches import Bounds
from services.activation_engine.plan_templates import template_text
from services.activation_engine.plans.english import in_english, sections
from services.activation_engine.plans.loader import load_plan, plan_from_content
from tests.builders import DAY_MS
from tests.unit.engine.plan_files import plan_files

B2B = load_plan(template_text("b2b-saas"))
ENGLISH = """\
From contract to the first measurable outcome (b2b-saas)
It is for every account.
The clock starts with the trait contract_start or the first activity, the first of these that is
known.
Segment smb has 0.75 times the weeks and a window of 45 days.
Segment mid_market has weeks as they are and a window of 90 days, and so has everybody without a
segment of these.
Segment enterprise has 2 times the weeks and a window of 180 days.

Milestones
- System live: reached by integration.connected; due in week 1 (5.25 days for smb, 7 days for
  mid_market, 14 days for enterprise).
- Team trained: reached by training.completed; due in week 1 (5.25 days for smb, 7 days for
  mid_market, 14 days for enterprise). It is optional.
- First data: reached by data.ingested; due in week 2 (10.5 days for smb, 14 days for mid_market, 28
  days for enterprise).
- First workflow: reached by workflow.run; due in week 2 (10.5 days for smb, 14 days for mid_market,
  28 days for enterprise).
- Team using: reached by 3 people; due in week 3 (15.75 days for smb, 21 days for mid_market, 42
  days for enterprise). It is optional.
- First output, which is the first value: reached by report.generated, list.built or model.trained,
  not before First data; due in week 4 (21 days for smb, 28 days for mid_market, 56 days for
  enterprise).
- Outcome: reached by outcome.measured; due in week 8 (42 days for smb, 56 days for mid_market, 112
  days for enterprise).
- Second outcome: reached by outcome.measured, 2 times. It is optional.

Status
- Activated: System live, First data, First workflow, First output and Outcome are reached.
- At risk: one of them is overdue by more than 3 days.
- Stalled: one of them is overdue by more than 7 days.
- Stalled: nobody was active for 14 days.
- Stalled: the window is over without First output.

Adoption
- It is the share of these that came on 2 days: data.ingested, workflow.run, report.generated,
  list.built and model.trained.

Escalation
- An account that is not activated after 30 days for smb, 45 days for mid_market, 75 days for
  enterprise is escalated once to owner and product, unless it has adoption of 40% and First output.

Risks
- Account quiet: nobody active for 14 days.
- Champion quiet: no champion active for 21 days.
- Single threaded: fewer than 2 people in 28 days, for 30 days.
- Usage drop: active days down by 60%.
- Open concern: after concern.raised until concern.resolved, for 7 days.
- New executive: after executive.joined until conversation.held, for 14 days.
- Renewal near: renewal_at within 90 days, unless Outcome.

Opportunities
- Next problem: after First output until conversation.held. It is held once conversation.held comes
  or missed after 14 days.
- Hidden fans: no team lead or executive active for 28 days and at least 3 people in 28 days. It is
  held once the quiet are active again or missed after 30 days.
- Advocacy: at least 2 roles in 28 days, after Second outcome until advocacy.asked and healthy for
  14 days. It is held once advocacy.asked comes or missed after 60 days.

Events
- integration.connected is sent as “Integration Connected”.
- training.completed is sent as “Training Completed”.
- data.ingested is sent as “Data Imported”.
- workflow.run is sent as “Workflow Run”.
- report.generated is sent as “Report Generated”.
- list.built is sent as “List Built”.
- model.trained is sent as “Scoring Model Trained”.
- outcome.measured is sent as “Opportunity Influenced” or “Account Prioritized”.
"""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan_files())
def test_any_valid_plan(data: dict[str, Any]) -> None:
    """JSON is YAML, so the data is a file. Key order is no content."""
    checked = load_plan(json.dumps(data))
    assert plan_from_content(json.loads(json.dumps(checked.content))) == checked
    assert load_plan(json.dumps(dict(reversed(data.items())))).hash == checked.hash
    assert {one.id for one in checked.plan.risks} == data["risks"].keys()
    assert all(one.text for one in (*checked.plan.risks, *checked.plan.opportunities))
    english = in_english(checked)
    assert english.endswith("\n")
    assert all(one.title in english for one in checked.plan.displayed())


def test_measures_of_activity() -> None:
    """People and days of any event are those of the plan's activity; a day is a day of the plan."""
    text = """\
plan: x
day: 12h
activity: {exclude: [billing.*, Invoice Sent]}
events: {billing.paid: [Paid]}
first_value: v
milestones:
  v: {when: {all: [{people: 3}, {days: 4}, {event: a.b, people: 2}, {event: a.b, days: 5}]}}
"""
    plan = load_plan(text).plan
    excluded = Selector(("Invoice Sent", "Paid"), ("billing.",))
    assert plan.activity == ActivityRule.without(excluded)
    people, days, some_people, some_days = (leaf.tracker for leaf in plan.leaves())
    assert isinstance(people, PeopleTracker)
    assert (people.selector, people.threshold, people.excluded) == (EVERY_EVENT, 3, excluded)
    assert isinstance(days, DaysTracker)
    assert (days.selector, days.day_ms, days.excluded) == (EVERY_EVENT, DAY_MS // 2, excluded)
    assert (some_people.selector, some_people.excluded) == (Selector(("a.b",)), excluded)
    assert (some_days.selector, some_days.day_ms, some_days.excluded) == (Selector(("a.b",)), DAY_MS // 2, NO_EVENT)


def test_adoption_is_rounded_up() -> None:
    """40 % of five features are two, 41 % are three; one leaf a feature."""
    for percentage, needed in (("40%", 2), ("41%", 3), ("0.5%", 1), ("100%", 5)):
        text = template_text("b2b-saas").replace("{adoption: 40%}", f"{{adoption: {percentage}}}")
        escalation = load_plan(text).plan.escalation
        assert escalation is not None
        assert isinstance(escalation.unless, AtLeast)
        adoption = escalation.unless.parts[0]
        assert isinstance(adoption, AtLeast)
        assert (adoption.needed, adoption.label) == (needed, f"adoption of {percentage}")
        assert adoption.parts == B2B.plan.core_features
    assert [leaf.tracker.threshold for leaf in B2B.plan.core_features] == [2] * 5


def test_escalation_by_segment() -> None:
    """Each its own time, and `else` for the others."""
    assert B2B.plan.escalation is not None
    assert B2B.plan.escalation.to == ("owner", "product")
    days = {one.id: (one.escalate_after_ms or 0) / DAY_MS for one in B2B.plan.segments.values()}
    assert days == {"smb": 30, "mid_market": 45, "enterprise": 75}


def test_watches_of_the_template() -> None:
    """What each part is compiled into."""
    risks = {one.id: one for one in B2B.plan.risks}
    chances = {one.id: one for one in B2B.plan.opportunities}
    assert risks["single_threaded"].people == Bounds(below=2)
    assert risks["single_threaded"].for_ms == 30 * DAY_MS
    assert risks["usage_drop"].active_days_down == 0.6
    concern = risks["open_concern"].after
    assert isinstance(concern, Leaf)
    assert isinstance(concern.tracker, LastTracker)
    assert (risks["renewal_near"].before, risks["renewal_near"].within_ms) == ("renewal_at", 90 * DAY_MS)
    assert risks["renewal_near"].unless == MilestoneReached("outcome", "Outcome")
    assert chances["next_problem"].after == MilestoneReached("first_output", "First output")
    assert chances["hidden_fans"].quiet == ("team_lead", "executive")
    assert chances["hidden_fans"].people == Bounds(least=3)
    assert (chances["advocacy"].healthy_ms, chances["advocacy"].open_ms) == (14 * DAY_MS, 60 * DAY_MS)
    assert [one.opportunity for one in (*B2B.plan.risks, *B2B.plan.opportunities)] == [False] * 7 + [True] * 3


def test_ends_of_loops_follow_aliases() -> None:
    """`after` and `until` know the names that the product sends, and tests of properties."""
    text = """\
plan: x
events: {ticket.opened: [Ticket Opened]}
first_value: v
milestones: {v: {when: a.b}}
risks:
  r: {after: {event: ticket.opened, where: {severity: high}}, until: v}
"""
    (risk,) = load_plan(text).plan.risks
    assert isinstance(risk.after, Leaf)
    assert risk.after.tracker.selector.names == ("Ticket Opened", "ticket.opened")
    assert len(risk.after.tracker.selector.where) == 1
    assert risk.text == "after ticket.opened where severity is high until V"


def test_english_of_the_template() -> None:
    """The whole text."""
    assert in_english(B2B) == ENGLISH


def test_core_features_are_told_of_every_plan_that_has_them() -> None:
    """Also of one that escalates nothing."""
    text = "plan: x\nfirst_value: v\nmilestones: {v: {when: a.b}}\ncore_features: {days: 2, of: [a.b, c.d]}\n"
    assert sections(load_plan(text))["Adoption"] == ["It is the share of these that came on 2 days: a.b and c.d."]


@pytest.mark.parametrize(
    ("grace", "told"), [("", "1 hour"), ("grace: 90m", "1.5 hours"), ("grace: 1d", "1 day"), ("grace: 2d", "2 days")]
)
@pytest.mark.parametrize("day", ["24h", "2s", "1s"])
def test_the_grace_is_told_as_the_file_gives_it(day: str, grace: str, told: str) -> None:
    """However short the plan's day is."""
    plan = f"plan: x\nday: {day}\nfirst_value: v\nmilestones: {{v: {{due: 3d, when: a.b}}}}\n{grace}\n"
    assert f"overdue by more than {told}.\n" in in_english(load_plan(plan))
