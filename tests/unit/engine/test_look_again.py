"""Late and unusual records that must make the very next tick look, and what must not be invented or lost."""

from __future__ import annotations

import pytest

from services.activation_engine.domain.encoding import decode, encode
from services.activation_engine.domain.event import InvalidBody
from services.activation_engine.domain.plan_set import PlanSet
from tests.builders import DAY_MS, SMALL_PLAN, command, day, event, plan, plan_set, traits
from tests.unit.engine.story import Story

CALM = """
plan: small
milestones:
  data: {when: "Data.Imported"}
  output: {when: "Report.Made"}
first_value: output
"""


def calm(extra: str) -> Story:
    """A story under a plan that has no trouble of its own."""
    return Story(plan_set([plan(CALM + extra)]))


def test_an_earlier_first_value_brings_escalation_forward() -> None:
    """The week in which nobody escalates begins with the first value, also when that turns out to be earlier."""
    story = calm("escalate: {at: 30d, to: owner}\n")
    story.happens(event(at=day(0)))
    story.until(29)
    story.happens(event("Report.Made", day(29)))
    story.until(29.5)
    story.happens(event("Report.Made", day(25), appended=day(29.5)))
    assert story.until(32.1) == ["escalated"]


def test_an_earlier_milestone_opens_a_risk_sooner() -> None:
    """What waits after a milestone waits from its newest known date."""
    story = calm("risks: {unheard: {after: output, until: talk.held, for: 5d}}\n")
    story.happens(event(at=day(0)), event("Report.Made", day(10), appended=day(10)))
    story.until(10.5)
    story.happens(event("Report.Made", day(1), appended=day(10.5)))
    assert story.until(10.6) == ["risk_opened:unheard"]


def test_a_late_return_is_seen_at_once() -> None:
    """Somebody who had dropped out of the last 28 days is back by an event that arrives late."""
    story = calm("risks: {alone: {people: {lt: 2}, for: 1d}}\n")
    story.happens(event(at=day(0), user="bob"))
    told: list[str] = []
    for number in range(0, 31, 5):
        story.happens(event(at=day(number), user="ann"))
        told += story.until(number + 4)
    assert told == ["risk_opened:alone"]
    story.happens(event(at=day(27), user="bob", appended=day(34)))
    assert story.until(34.1) == ["risk_closed:alone"]


def test_a_late_active_day_is_seen_at_once() -> None:
    """A fall in use ends with the day that lifts it, not at the next midnight."""
    story = calm("risks: {fall: {active_days: {down: 40%}}}\n")
    story.happens(event("Report.Made", day(0.5)))
    told: list[str] = []
    for number in range(1, 84 + 12):
        if number < 84:
            story.happens(event(at=day(number + 0.5)))
        told += story.until(number + 1)
    assert told == ["risk_opened:fall"]
    story.happens(event(at=day(90.5), appended=day(96)))
    assert story.until(96.1) == ["risk_closed:fall"]


def test_excluded_events_are_no_activity_after_a_reload() -> None:
    """An account of which only excluded events are known has no activity, however often it is stored and read."""
    excluding = plan(SMALL_PLAN.replace("plan: small", "plan: picky") + "activity: {exclude: [billing.*]}\n")
    story = Story(plan_set([plan(), excluding]))
    story.happens(event("billing.paid", day(0)))
    story.accounts["acme"] = decode("acme", encode(story.accounts["acme"]))
    story.happens(event("billing.paid", day(1)), traits(day(1), name="Acme"))
    starts = {one: known.start_ms for one, known in story.accounts["acme"].plans.items()}
    assert starts == {"picky": None, "small": day(0)}


def test_an_account_that_began_with_a_refused_record_is_the_same_after_a_reload() -> None:
    """What comes next decides the same, whether the account was in memory all the time or stored and read."""
    states = []
    for stored in (False, True):
        story = Story()
        with pytest.raises(InvalidBody):
            story.take(command("note", day(0), message="m0"))
        if stored:
            story.accounts["acme"] = decode("acme", encode(story.accounts["acme"]))
        story.happens(command("pause", day(1), message="m1", reason="x"))
        states.append(([one.type for one in story.signals], encode(story.accounts["acme"])))
    assert states[0] == states[1]


def test_a_start_that_came_after_a_silent_version_is_told() -> None:
    """History ends where the version went live, not where the account was next looked at."""
    story = Story()
    story.happens(traits(day(0), contract_start="2026-11-05"))
    story.until(2)
    story.take(plan_set(version=2, live_from=day(2)))
    story.accounts["acme"].next_check_ms = None
    story.accounts["acme"].check_by(day(3))
    story._check(story.accounts["acme"])
    assert story.until(3.1) == ["activation_started"]


def test_quiet_is_measured_without_pauses() -> None:
    """What is told is measured as it is judged."""
    story = calm("risks: {silent: {quiet: anyone, for: 14d}}\n")
    story.happens(event(at=day(0)), command("pause", day(4), reason="x"))
    story.until(24)
    story.happens(command("resume", day(24)))
    assert story.until(34.5) == ["risk_opened:silent"]
    evidence = story.signals[-1].evidence
    assert isinstance(evidence.measured, float)
    assert 14 <= evidence.measured < 15


def test_a_plan_without_watches_keeps_nothing_of_them() -> None:
    """A risk that a newer version dropped is not open any more should it come back."""
    story = calm("risks: {silent: {quiet: anyone, for: 3d}}\n")
    story.happens(event(at=day(0)))
    assert story.until(4.5) == ["risk_opened:silent"]
    story.take(PlanSet.of([plan_set([plan(CALM)], version=2, live_from=day(4.5)).live[0]]))
    story.until(5)
    known = story.accounts["acme"].plans["small"]
    assert (known.watches, known.watchful, known.healthy_since_ms) == ({}, False, None)
    assert story.clock.clock_ms == day(0) + 5 * DAY_MS
