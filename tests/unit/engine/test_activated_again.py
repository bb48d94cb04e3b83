"""An account that is activated again after a trouble: whoever heard of the trouble hears of its end, at a true time."""

from __future__ import annotations

import pytest

from services.activation_engine.domain.account import ACTIVATED
from services.activation_engine.domain.plan_set import PlanSet
from tests.builders import SMALL_PLAN, command, day, event, plan, plan_set, traits
from tests.unit.engine.story import Story

MORE = SMALL_PLAN.replace("first_value:", "  paid: {due: week 1, when: bill.paid}\nfirst_value:")
MOST = MORE.replace("first_value:", "  signed: {due: week 1, when: deal.signed}\nfirst_value:")


def version(number: int, text: str, live: float) -> PlanSet:
    """A version that goes live on that day and tells of nothing."""
    return plan_set([plan(text)], version=number, live_from=day(live))


def stalled_again(*, begin: float = 0) -> Story:
    """Activated on day 3, and stalled by version 2, which requires more, on day 14."""
    story = Story(begin=begin)
    story.happens(
        *(event(one, day(at), appended=day(begin + at)) for one, at in (("Data Imported", 2), ("Report Made", 3)))
    )
    story.take(version(2, MORE, begin + 4))
    assert "stalled:paid" in story.until(begin + 20)
    return story


@pytest.mark.parametrize("paused", [False, True])
def test_a_waiver_activates_again(paused: bool) -> None:
    """It is announced, at the time of the waiver; once."""
    story = stalled_again()
    if paused:
        story.happens(command("pause", day(20), reason="audit"))
    assert story.happens(command("waive", day(20.5), milestone="paid")) == ["activated"]
    told = story.signals[-1]
    assert (told.timestamp_ms, told.origin, told.status_from, told.status_to) == (
        day(20.5),
        "live",
        *(["paused"] * 2 if paused else ["stalled", "activated"]),
    )
    assert story.accounts["acme"].plans["small"].activated_at_ms == day(20.5)
    assert story.happens(command("waive", day(20.5), milestone="paid")) == []
    assert story.until(23) == []


def test_what_is_reached_dates_the_activation() -> None:
    """What was waived as well changes nothing."""
    story = stalled_again()
    story.happens(event("bill.paid", day(19), appended=day(20)), command("waive", day(20.5), milestone="paid"))
    assert [(one.type, one.timestamp_ms) for one in story.signals[-1:]] == [("account.activated", day(19))]


def test_the_end_of_old_trouble_is_history() -> None:
    """An import that a later version puts into trouble as of before it was known: nobody is paged."""
    story = stalled_again(begin=100)
    assert story.signals[-1].origin == "catch_up"
    assert story.happens(command("waive", day(120.5), milestone="paid")) == ["activated"]
    assert story.signals[-1].origin == "catch_up"


@pytest.mark.parametrize("policy", ["silent", "emit"])
def test_a_version_that_asks_for_less_ends_the_trouble(policy: str) -> None:
    """Who heard of the trouble hears of its end, whatever the version is to tell of, dated when it went live."""
    story = stalled_again()
    less = plan_set([plan()], version=3, live_from=day(20), policy="emit" if policy == "emit" else "silent")
    story.take(less)
    assert story.until(20.1) == ["activated"]
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(20), "live")


def test_a_first_activation_by_a_version_ends_the_trouble() -> None:
    """It was never activated before."""
    story = Story(version(1, MORE, 0))
    story.happens(event("Data Imported", day(0)), event("Report Made", day(3)))
    assert story.until(15) == ["at_risk:paid", "stalled:paid"]
    story.take(version(2, SMALL_PLAN, 15))
    assert story.until(15.1) == ["activated"]
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(15), "live")


def test_each_trouble_ends_with_a_signal_of_its_own() -> None:
    """Two troubles of one deadline; and the first activation has the id that it always had."""
    story = stalled_again()
    story.happens(command("waive", day(20.5), milestone="paid"))
    story.take(version(3, MOST, 21))
    assert story.until(21.1) == ["stalled:signed"]
    assert story.happens(event("deal.signed", day(22))) == ["milestone_reached:signed", "activated"]
    ids = [one.id for one in story.signals if one.type == "account.activated"]
    assert len(set(ids)) == 3
    once = Story()
    once.happens(traits(day(0)), event("Data Imported", day(1)), event("Report Made", day(2)))
    assert once.signals[-1].id == ids[0]
    assert once.status() == ACTIVATED


def test_what_was_told_to_have_recovered_is_not_activated_again() -> None:
    """Nobody believes it to be in trouble."""
    story = stalled_again()
    story.happens(traits(day(20), contract_start="2026-11-20"))
    assert story.until(20.1) == ["recovered:paid"]
    assert story.happens(event("bill.paid", day(21))) == ["milestone_reached:paid"]
    assert story.status() == ACTIVATED
