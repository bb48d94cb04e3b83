"""Opportunities: held once what they wait for happened, missed when their time is over, open again after that."""

from __future__ import annotations

from services.activation_engine.domain.description import describe
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.watches import Bounds, Watch
from tests.builders import command, day, event, traits
from tests.unit.engine.watched import OUTPUT, days, newest, notes, watching


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


def test_what_happens_between_two_ticks_is_seen() -> None:
    """The answer to the first X holds, and a newer X is another opportunity."""
    watch = Watch("talk", "Talk", opportunity=True, after=newest("a.x"), until=newest("a.y"), open_ms=days(14))
    story = watching(watch)
    story.happens(event(at=day(0)))
    notes(story, ("a.x", 0))
    assert story.until(1) == ["opportunity_opened:talk"]
    notes(story, ("a.y", 1.001), ("a.x", 1.002))
    assert story.until(2) == ["opportunity_closed:talk:held", "opportunity_opened:talk"]
    assert story.signals[-1].timestamp_ms == day(1.002)
    story.happens(event(at=day(10)))
    assert story.until(16) == ["opportunity_closed:talk:missed"]
    notes(story, ("a.y", 16.001), ("a.x", 16.002))
    assert story.until(17) == ["opportunity_opened:talk"]


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
