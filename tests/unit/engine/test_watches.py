"""Risks and opportunities: opened once true for their time, closed by themselves, each named by its opening."""

from __future__ import annotations

import msgspec
import pytest

from services.activation_engine.domain.conditions import Leaf, MilestoneReached
from services.activation_engine.domain.description import describe
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.plan import Escalation, Plan
from services.activation_engine.domain.trackers import LastTracker, Selector, tracker
from services.activation_engine.domain.watches import Bounds, Watch
from tests.builders import DAY_MS, command, day, event, plan, plan_set, traits
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


def test_quiet_is_counted_from_the_last_activity() -> None:
    """Fourteen quiet days open the risk, anyone's return closes it; the next quiet is another episode."""
    story = watching(Watch("account_quiet", "Quiet", quiet=("anyone",), for_ms=days(14), text="nobody for 14 days"))
    story.happens(event(at=day(0)))
    assert story.until(13.9) == []
    assert story.until(14.5) == ["risk_opened:account_quiet"]
    risk = describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]["risks"][0]
    assert risk["id"] == "account_quiet"
    assert risk["evidence"]["threshold"] == 14
    story.happens(event(at=day(15)))
    assert story.until(15.5) == ["risk_closed:account_quiet"]
    assert story.until(30) == ["risk_opened:account_quiet"]
    assert len({one.id for one in story.signals}) == len(story.signals)


def test_a_quiet_role_must_be_known() -> None:
    """Nobody known is nobody quiet; known by identify alone, quiet counts from the account's first activity."""
    watch = Watch("champion_quiet", "Champion quiet", quiet=("champion",), for_ms=days(21))
    story = watching(watch)
    story.happens(event(at=day(0)))
    assert story.until(40) == []
    story.happens(event("Identified", day(40), kind="identify", role="champion"))
    assert story.until(40.5) == ["risk_opened:champion_quiet"]
    story.happens(event(at=day(41), role="champion", user="eve"))
    assert story.until(41.5) == ["risk_closed:champion_quiet"]
    story.happens(event(at=day(50), user="ann"))
    assert story.until(63) == ["risk_opened:champion_quiet"]


def test_few_people_for_a_while() -> None:
    """One person for 30 days unbroken; a second one closes it at the next tick, and leaving opens it again."""
    watch = Watch("single_threaded", "One person only", people=Bounds(below=2), for_ms=days(30))
    story = watching(watch)
    for number in range(0, 29, 7):
        story.happens(event(at=day(number)))
        story.until(number + 1)
    story.happens(event(at=day(29)))
    assert story.until(29.9) == []
    assert story.until(30.5) == ["risk_opened:single_threaded"]
    story.happens(event(at=day(31), user="bob"))
    assert story.until(31.2) == ["risk_closed:single_threaded"]
    for number in range(32, 100, 7):
        story.happens(event(at=day(number)))
        told = story.until(number + 6)
        assert told == (["risk_opened:single_threaded"] if number == 88 else [])


def test_an_open_loop() -> None:
    """A concern raised and not resolved for seven days; resolving closes, raising again reopens."""
    watch = Watch(
        "open_concern", "Concern", after=newest("concern.raised"), until=newest("concern.resolved"), for_ms=days(7)
    )
    story = watching(watch)
    story.happens(event(at=day(0)), command("note", day(1), event="concern.raised"))
    assert story.until(7.9) == []
    assert story.until(8.2) == ["risk_opened:open_concern"]
    assert story.signals[-1].timestamp_ms == day(8)
    story.happens(command("note", day(9), event="concern.resolved"))
    assert story.until(9.2) == ["risk_closed:open_concern"]
    story.happens(command("note", day(10), event="concern.raised"), command("note", day(12), event="concern.resolved"))
    assert story.until(40) == []


def test_a_date_ahead() -> None:
    """Within ninety days before the renewal, unless the outcome is there; over with the date itself."""
    watch = Watch("renewal_near", "Renewal", before="renewal_at", within_ms=days(90), unless=OUTPUT)
    story = watching(watch)
    story.happens(event(at=day(0)), traits(day(0), renewal_at=rfc3339(day(100))))
    assert story.until(9.9) == []
    assert story.until(10.2) == ["risk_opened:renewal_near"]
    assert story.signals[-1].timestamp_ms == day(10)
    assert story.until(100.2) == ["risk_closed:renewal_near"]
    other = watching(watch)
    other.happens(event(at=day(0)), traits(day(0), renewal_at=rfc3339(day(100))))
    other.until(20)
    assert other.happens(event("Report.Made", day(21)))[0] == "milestone_reached:output"
    assert other.until(21.2) == ["risk_closed:renewal_near"]


def test_a_missing_trait() -> None:
    """Counted from the start, for as long as it is missing."""
    story = watching(Watch("no_owner", "No owner", missing="owner", for_ms=days(2)))
    story.happens(event(at=day(0)))
    assert story.until(2.5) == ["risk_opened:no_owner"]
    story.happens(traits(day(3), owner="dana"))
    assert story.until(3.5) == ["risk_closed:no_owner"]


def use_daily(story: Story, first: int, last: int, *, every: int = 1) -> list[str]:
    """Somebody is active on these days."""
    told: list[str] = []
    for number in range(first, last, every):
        told += story.happens(event(at=day(number + 0.5))) + story.until(number + 1)
    return told


def test_a_fall_in_use() -> None:
    """Judged from 84 days after first value; the baseline is frozen, and recovery alone closes it."""
    story = watching(Watch("usage_drop", "Use fell", active_days_down=0.6))
    story.happens(event("Report.Made", day(0)))
    assert use_daily(story, 1, 90) == []
    opened = use_daily(story, 91, 140, every=7)
    assert opened == ["risk_opened:usage_drop"]
    assert story.signals[-1].evidence.threshold == 28
    assert use_daily(story, 140, 160) == ["risk_closed:usage_drop"]


def test_an_opportunity_is_held_or_missed() -> None:
    """Held once what it waits for happens, missed when its time is over; each is said once."""
    watch = Watch(
        "next_problem",
        "Next problem",
        opportunity=True,
        after=OUTPUT,
        until=newest("conversation.held"),
        open_ms=days(14),
    )
    story = watching(watch)
    story.happens(event("Report.Made", day(0)))
    assert story.until(0.2) == ["opportunity_opened:next_problem"]
    shown = describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]["opportunities"][0]
    assert shown["closes_at"] == rfc3339(day(14))
    story.happens(command("note", day(5), event="conversation.held"))
    assert story.until(5.2) == ["opportunity_closed:next_problem:held"]
    assert story.until(60) == []
    other = watching(watch)
    other.happens(event("Report.Made", day(0)))
    other.until(1)
    assert other.until(14.2) == ["opportunity_closed:next_problem:missed"]
    assert other.until(60) == []


def test_an_opportunity_that_is_over_is_never_opened() -> None:
    """Nor is one in an account that nobody uses."""
    watch = Watch("next_problem", "Next", opportunity=True, after=OUTPUT, open_ms=days(14))
    story = watching(watch)
    story.until(30)
    story.happens(event("Report.Made", day(1)), event(at=day(30)))
    assert story.until(40) == []


def test_hidden_fans() -> None:
    """Three people, and the lead is quiet; held when the lead comes back, and open again after another quiet."""
    watch = Watch(
        "hidden_fans",
        "Fans",
        opportunity=True,
        people=Bounds(3),
        quiet=("team_lead", "executive"),
        for_ms=days(28),
        open_ms=days(30),
    )
    story = watching(watch)
    story.happens(event(at=day(0), user="lead", role="team_lead"))
    for number in range(1, 40):
        for user in ("ann", "bob", "cleo"):
            story.happens(event(at=day(number), user=user))
        told = story.until(number + 0.5)
        assert told == (["opportunity_opened:hidden_fans"] if number == 28 else []), number
    story.happens(event(at=day(40), user="lead", role="team_lead"))
    assert story.until(40.5) == ["opportunity_closed:hidden_fans:held"]


def test_advocacy_needs_health_and_roles() -> None:
    """After the result, healthy for two weeks, two roles present."""
    risk = Watch("no_owner", "No owner", missing="owner")
    watch = Watch(
        "advocacy",
        "Advocacy",
        opportunity=True,
        after=OUTPUT,
        healthy_ms=days(14),
        roles=Bounds(2),
        until=newest("advocacy.asked"),
        open_ms=days(60),
    )
    story = watching(risk, watch)
    story.happens(event("Report.Made", day(0), role="champion"), event(at=day(0), user="eve", role="executive"))
    assert story.until(5) == ["risk_opened:no_owner"]
    story.happens(traits(day(5), owner="dana"))
    assert story.until(5.5) == ["risk_closed:no_owner"]
    story.happens(event(at=day(18), role="champion"))
    assert story.until(19) == []
    assert story.until(20) == ["opportunity_opened:advocacy"]
    story.happens(command("note", day(21), event="advocacy.asked"))
    assert story.until(21.5) == ["opportunity_closed:advocacy:held"]


def test_closing_ends_watches_without_a_word() -> None:
    """And a pause keeps them as they are."""
    story = watching(Watch("account_quiet", "Quiet", quiet=("anyone",), for_ms=days(14)))
    story.happens(event(at=day(0)))
    story.until(10)
    story.happens(command("pause", day(10), reason="x"))
    story.until(20)
    story.happens(command("resume", day(20)))
    assert story.until(23.9) == []
    assert story.until(24.5) == ["risk_opened:account_quiet"]
    assert story.happens(command("close", day(25), reason="x")) == ["closed"]
    assert story.until(60) == []
    assert story.accounts["acme"].plans["small"].watches == {}


def test_snoozing_one_risk() -> None:
    """By its own id; the list still shows it."""
    story = watching(Watch("account_quiet", "Quiet", quiet=("anyone",), for_ms=days(14)))
    story.happens(event(at=day(0)), command("snooze", day(0), kind="account_quiet", until=rfc3339(day(30))))
    assert story.until(20) == []
    assert describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]["risks"]


@pytest.mark.parametrize(("valued", "escalates"), [(None, 30), (10, 30), (28, 35)])
def test_escalation_once_per_life(valued: int | None, escalates: int) -> None:
    """At day 30, but not within a week after first value; again only in another life."""
    segments = {name: msgspec.structs.replace(one, escalate_after_ms=days(30)) for name, one in CALM.segments.items()}
    story = watching(segments=segments, escalation=Escalation(to=("owner", "product")))
    story.happens(event(at=day(0)))
    if valued is not None:
        story.until(valued)
        story.happens(event("Report.Made", day(valued)))
    assert story.until(escalates - 0.1) == []
    assert story.until(escalates + 0.2) == ["escalated"]
    assert story.signals[-1].to == ("owner", "product")
    assert story.signals[-1].timestamp_ms == day(escalates)
    assert story.until(60) == []
    story.happens(command("close", day(60), reason="x"), command("reopen", day(61)))
    assert story.until(62) == ["escalated"]


def test_nothing_escalates_what_has_its_value() -> None:
    """`unless` holds, or everything is reached."""
    segments = {name: msgspec.structs.replace(one, escalate_after_ms=days(30)) for name, one in CALM.segments.items()}
    story = watching(segments=segments, escalation=Escalation(unless=OUTPUT))
    story.happens(event("Report.Made", day(0)))
    assert story.until(60) == []


def test_explain_shows_every_watch() -> None:
    """Open or not, with each part as measured."""
    story = watching(Watch("single", "One person", people=Bounds(below=2), for_ms=days(30), text="fewer than 2 people"))
    story.happens(event(at=day(0)))
    story.until(1)
    told = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]["risks"][0]
    assert (told["open"], told["rule"]) == (False, "fewer than 2 people")
    assert told["parts"] == [{"part": "people", "holds": True, "measured": 1, "threshold": 2}]
