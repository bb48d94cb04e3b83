"""Risks and opportunities: opened once true for their time, closed by themselves, each named by its opening."""

from __future__ import annotations

import msgspec
import pytest

from services.activation_engine.domain.description import describe
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.plan import Escalation
from services.activation_engine.domain.watches import Bounds, Watch
from tests.builders import command, day, event, traits
from tests.unit.engine.story import Story
from tests.unit.engine.watched import CALM, OUTPUT, days, newest, notes, watching

CONCERN = Watch("concern", "Concern", after=newest("concern.raised"), until=newest("concern.resolved"), for_ms=days(7))


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
    """Nobody known is nobody quiet; known by identify alone, quiet counts from then."""
    watch = Watch("champion_quiet", "Champion quiet", quiet=("champion",), for_ms=days(21))
    story = watching(watch)
    story.happens(event(at=day(0)))
    assert story.until(40) == []
    story.happens(event("Identified", day(40), kind="identify", role="champion"))
    story.happens(event("Identified", day(45), kind="identify", role="champion"))
    assert story.until(60.9) == []
    assert story.until(61) == ["risk_opened:champion_quiet"]
    assert story.signals[-1].timestamp_ms == day(61)
    story.happens(event(at=day(62), role="champion", user="eve"))
    assert story.until(62.5) == ["risk_closed:champion_quiet"]
    story.happens(event(at=day(70), user="ann"))
    assert story.until(84) == ["risk_opened:champion_quiet"]


def test_one_who_is_new_does_not_end_the_quiet_of_another() -> None:
    """Of several roles the last use counts, and the time since when one is known only where none was ever active."""
    story = watching(Watch("silent", "Silent", quiet=("team_lead", "executive"), for_ms=days(21)))
    story.happens(event(at=day(0), user="lead", role="team_lead"))
    assert story.until(21.5) == ["risk_opened:silent"]
    story.happens(event("Identified", day(30), kind="identify", role="executive"))
    assert story.until(60) == []


def test_who_was_only_identified_is_one_of_the_people() -> None:
    """By name and role, never seen, and counted by nobody; erased like everybody."""
    story = watching(Watch("few", "Few people", people=Bounds(below=2), for_ms=days(3)))
    story.happens(event(at=day(0)), event("", day(1), kind="identify", user="eve", role="champion"))
    story.happens(event("", day(1), kind="identify", user=None, role="executive"))
    people = describe(story.accounts["acme"], story.plans, story.clock)["people"]
    assert [(one["id"], one["role"]) for one in people] == [("ann", None), ("eve", "champion")]
    assert people[1]["last_seen_at"] is None
    assert story.until(4) == ["risk_opened:few"]
    story.happens(command("erase_person", day(4), user_id="eve"))
    story.happens(event("", day(5), kind="identify", user="eve", role="champion"))
    assert "eve" not in str(story.accounts["acme"])


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


def test_what_happens_again_postpones_nothing() -> None:
    """A concern raised every five days is one that nobody resolves; the next one has seven days of its own."""
    story = watching(CONCERN)
    story.happens(event(at=day(0)))
    told: list[str] = []
    for number in range(1, 30, 5):
        notes(story, ("concern.raised", number))
        told += story.until(number + 5)
    assert told == ["risk_opened:concern"]
    assert story.signals[-1].timestamp_ms == day(8)
    notes(story, ("concern.resolved", 31), ("concern.raised", 31.1))
    assert story.until(32) == ["risk_closed:concern"]
    assert story.until(38.2) == ["risk_opened:concern"]
    assert story.signals[-1].timestamp_ms == day(38.1)


def test_an_early_answer_starts_the_wait_again() -> None:
    """Also one that no tick saw by itself."""
    story = watching(CONCERN)
    story.happens(event(at=day(0)))
    notes(story, ("concern.raised", 1))
    story.until(5)
    notes(story, ("concern.resolved", 5.001), ("concern.raised", 5.002))
    assert story.until(12) == []
    assert story.until(12.1) == ["risk_opened:concern"]


def test_time_runs_for_all_parts_together() -> None:
    """Somebody else left long after X: fourteen days from then, not at once."""
    watch = Watch("alone", "Alone", after=newest("executive.joined"), people=Bounds(below=2), for_ms=days(14))
    story = watching(watch)
    notes(story, ("executive.joined", 0))
    story.happens(event(at=day(0), user="ann"), event(at=day(0), user="bob"))
    opened = {}
    for number in range(20, 60):
        story.happens(event(at=day(number)))
        opened.update(dict.fromkeys(story.until(number + 1), number + 1))
    assert opened == {"risk_opened:alone": 42}


def test_nothing_opens_before_the_first_use() -> None:
    """A loop waits for it, and runs from there."""
    story = watching(CONCERN)
    notes(story, ("concern.raised", 1))
    assert story.until(20) == []
    story.happens(event(at=day(20)))
    assert story.until(26.9) == []
    assert story.until(27) == ["risk_opened:concern"]


def test_a_date_that_becomes_known_late() -> None:
    """Thirty days before the renewal it is told: news of that day, and `for` runs from there; told again, it is not."""
    for waits, opens in ((0, 20), (7, 27)):
        story = watching(Watch("renewal_near", "Renewal", before="renewal_at", within_ms=days(90), for_ms=days(waits)))
        story.happens(event(at=day(0)))
        story.until(20)
        story.happens(traits(day(20), renewal_at=rfc3339(day(50))))
        told = story.until(23)
        story.happens(traits(day(23), renewal_at=rfc3339(day(50))))
        assert [*told, *story.until(28)] == ["risk_opened:renewal_near"]
        assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(opens), "live")


def test_a_date_is_not_near_before_the_start() -> None:
    """The contract begins within ninety days of its renewal."""
    story = watching(
        Watch("renewal_near", "Renewal", before="renewal_at", within_ms=days(90)), start=("contract_start",)
    )
    story.happens(traits(day(0), renewal_at=rfc3339(day(60)), contract_start=rfc3339(day(5))), event(at=day(0)))
    assert story.until(4.9) == []
    assert story.until(5.1) == ["activation_started", "risk_opened:renewal_near"]
    assert story.signals[-1].timestamp_ms == day(5)


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
