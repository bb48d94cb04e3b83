"""Commands: pauses stop every clock, closings end a life, marks and waivers change what is missing, snoozes mute."""

from __future__ import annotations

from typing import Any

import pytest

from services.activation_engine.domain.description import describe
from services.activation_engine.domain.event import InvalidBody
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.instants import rfc3339
from tests.builders import command, day, event, plan, plan_set, traits
from tests.unit.engine.story import Story


def shown(story: Story) -> str:
    """The status of acme as people see it."""
    return str(describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]["status"])


def begun() -> Story:
    """An account of segment smb that started on day 0: output is due on day 7, at risk on 10, stalled on 14."""
    story = Story()
    story.happens(traits(day(0), segment="smb"), event("Data Imported", day(0)))
    return story


def test_a_pause_moves_every_deadline() -> None:
    """Five paused days make everything five days later, and nothing is said meanwhile."""
    story = begun()
    assert story.until(2) == []
    assert story.happens(command("pause", day(2), reason="audit", side="customer")) == []
    assert shown(story) == "paused"
    assert story.until(7) == []
    assert story.happens(command("resume", day(7))) == []
    assert shown(story) == "on_track"
    assert story.until(14.9) == []
    assert story.until(15.1) == ["at_risk:output"]


def test_a_pause_ends_by_itself() -> None:
    """With `until` nobody has to remember; paused again meanwhile, the later word counts."""
    story = begun()
    story.happens(command("pause", day(2), reason="holidays", until=rfc3339(day(4))))
    story.until(3)
    assert shown(story) == "paused"
    story.until(4.1)
    assert shown(story) == "on_track"
    told = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    assert told["conditions"][1]["due_at"] == rfc3339(day(9))


def test_events_count_while_paused() -> None:
    """Use of the product in a pause still reaches milestones, at once."""
    story = begun()
    story.happens(command("pause", day(2), reason="audit"))
    assert story.happens(event("Report Made", day(3))) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    assert shown(story) == "paused"
    story.happens(command("resume", day(5)))
    assert shown(story) == "activated"
    net = describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]["ttfv_days"]
    assert (net["gross"], net["net"]) == (3.0, 2.0)


def test_a_pause_explains_itself_before_the_next_tick() -> None:
    """A command pauses at once, ahead of the clock that ticks move; since when, until when and why are told."""
    story = begun()
    story.until(11)
    story.happens(command("pause", day(11.1), reason="audit", until=rfc3339(day(20))))
    told = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    assert told["since"] == rfc3339(day(11.1))
    assert f"until {rfc3339(day(20))}: audit" in told["text"]


def test_trouble_survives_a_pause_unspoken() -> None:
    """What was at risk before is at risk after, without a second word."""
    story = begun()
    assert story.until(11) == ["at_risk:output"]
    story.happens(command("pause", day(11), reason="audit"))
    told = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    assert (told["status"], told["reason"]) == ("paused", None)
    assert "audit (customer)" in told["next"]
    story.until(20)
    story.happens(command("resume", day(20)))
    assert story.until(20.5) == []
    assert shown(story) == "at_risk"
    assert story.until(23.5) == ["stalled:output"]


def test_closing_and_reopening() -> None:
    """Closing is said once per life; nothing more is; reopened, trouble may be told again under new ids."""
    story = begun()
    assert story.until(11) == ["at_risk:output"]
    assert story.happens(command("close", day(12), reason="churned")) == ["closed"]
    assert story.happens(command("close", day(12), reason="again")) == []
    assert story.until(30) == []
    assert story.happens(event("Report Made", day(30))) == []
    row = describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    assert (row["status"], row["reason"]) == ("closed", "closed_by_hand")
    assert story.happens(command("reopen", day(31))) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    assert story.happens(command("close", day(40), reason="churned")) == ["closed"]
    assert len({one.id for one in story.signals}) == len(story.signals)


def test_marking_and_waiving() -> None:
    """A mark reaches a milestone; a waived one is neither required nor needed; first value cannot be waived."""
    story = begun()
    assert story.happens(command("waive", day(1), milestone="output")) == []
    assert story.happens(command("mark", day(2), milestone="output", at="2026-11-02")) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    other = Story()
    other.happens(traits(day(0), segment="smb"), event(at=day(0)), command("waive", day(0), milestone="data"))
    assert other.happens(event("Report Made", day(1))) == [
        "milestone_reached:output",
        "first_value_reached:output",
        "activated",
    ]
    told = explain(other.accounts["acme"], other.plans, other.clock)["plans"][0]
    assert told["conditions"][0]["waived"]
    assert "1 of 1 required" in told["text"]


def test_a_waiver_of_the_first_value_is_told_to_change_nothing() -> None:
    """Nobody refuses it where a program sends it among traits, so that it is explained while the value is missing."""
    story = begun()

    def explained() -> tuple[str, list[bool]]:
        told = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]
        return told["text"], [one["waiver_ignored"] for one in told["conditions"]]

    assert explained()[1] == [False] * 3
    story.happens(traits(day(1), group=True, waived__output=True, waived__habit=True))
    text, ignored = explained()
    assert text.endswith(" The waiver of Output changes nothing: the first value cannot be waived.")
    assert ignored == [False, True, False]
    story.happens(event("Report Made", day(2)))
    text, ignored = explained()
    assert (text.count("waiver"), ignored) == (0, [False] * 3)


def test_a_waiver_can_be_taken_back() -> None:
    """By setting its trait to null, like a mark."""
    story = begun()
    story.happens(command("waive", day(1), milestone="data"), traits(day(2), waived__data=None))
    assert not story.accounts["acme"].facts.waived()


def test_a_waiver_that_is_told_again_and_again_counts_from_the_first_time() -> None:
    """As by a program that sends all traits at each visit; a word that comes late may be the first. So it does when it
    is given again, as long as it makes the activation."""
    story = Story()

    def told(at: float, *, waived: object = True, appended: float | None = None) -> int | None:
        story.happens(traits(day(at), group=True, waived__data=waived, appended=day(appended or at)))
        known = story.accounts["acme"].plans["small"]
        return known.activated_at_ms if known.status == "activated" else None

    story.happens(traits(day(0), reached__output="2026-11-02"))
    assert [told(2), told(3), told(4), told(1.5, appended=4.2), told(5)] == [day(2)] * 3 + [day(1.5)] * 2
    assert [told(6, waived=None), told(7), told(8), told(7.5, appended=8.1), told(9)] == [None, *[day(7)] * 4]


def test_a_mark_that_is_told_again_changes_nothing() -> None:
    """Its date is its value, whenever it is told."""
    story = begun()
    for at in (2, 3, 4):
        story.happens(traits(day(at), group=True, reached__output="2026-11-03"))
        known = story.accounts["acme"].plans["small"]
        assert (known.reached["output"], known.activated_at_ms) == (day(1), day(1))
    assert [one.type for one in story.signals].count("account.activated") == 1


def test_snooze_mutes_one_kind_until_a_date() -> None:
    """Evaluation goes on: the status changes, only nobody is told."""
    story = begun()
    story.happens(command("snooze", day(1), kind="at_risk", until=rfc3339(day(12))))
    assert story.until(11) == []
    assert shown(story) == "at_risk"
    assert story.until(14.5) == ["stalled:output"]


def test_a_diagnosis_is_what_is_likely() -> None:
    """What a person found out comes before what the facts suggest."""
    story = begun()
    story.happens(command("diagnose", day(9), cause="fit", action="pivot"))
    story.until(14.5)
    assert story.signals[-1].likely == "fit"
    document = describe(story.accounts["acme"], story.plans, story.clock)
    assert document["diagnosis"] == {"cause": "fit", "action": "pivot", "at": rfc3339(day(9))}


def test_moving_overrides_what_plans_apply_to() -> None:
    """An account runs under the plan it was moved to and leaves the others; null gives it back."""
    picky = plan("plan: picky\napplies_to: {segment: large}\nmilestones: {x: {when: a.b}}\nfirst_value: x\n")
    story = Story(plan_set([plan(), picky]))
    story.happens(event(at=day(0)), command("move", day(1), plan="picky"))
    assert {one.status for one in story.accounts["acme"].plans.values()} == {"closed", "on_track"}
    assert story.accounts["acme"].plans["small"].reason == "left_plan"
    assert story.happens(event("a.b", day(2)), event("Data Imported", day(2))) == [
        "milestone_reached:x",
        "first_value_reached:x",
        "activated",
    ]
    story.happens(command("move", day(3), plan=None))
    assert story.accounts["acme"].plans["small"].status == "on_track"
    assert story.accounts["acme"].plans["picky"].reason == "left_plan"
    story.happens(command("move", day(4), plan="no-such-plan"))
    assert story.accounts["acme"].plans["small"].status == "on_track"


def test_a_note_counts_and_is_nobodys_activity() -> None:
    """The vendor's own people may report an event; that reaches a milestone but makes nobody active."""
    story = Story()
    assert story.happens(command("note", day(0), event="Data Imported", text="seen in a call")) == [
        "milestone_reached:data"
    ]
    assert story.accounts["acme"].facts.activity == {}


def test_an_erased_person_is_nobody_and_still_counts() -> None:
    """The id is gone from the facts, also when their older events arrive again; what they did stays."""
    story = begun()
    story.happens(event("Report Made", day(1), user="secret-name"))
    before = story.accounts["acme"].plans["small"].reached
    story.happens(command("erase_person", day(2), user_id="secret-name"))
    story.happens(event("Report Made", day(1), user="secret-name"), event(at=day(3), user="secret-name"))
    facts = story.accounts["acme"].facts
    assert "secret-name" not in repr(facts)
    assert len(facts.activity[0].people) == 2
    assert story.accounts["acme"].plans["small"].reached == before
    people = describe(story.accounts["acme"], story.plans, story.clock)["people"]
    assert [one["id"] for one in people] == ["ann"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("pause", {}),
        ("pause", {"reason": 5}),
        ("pause", {"reason": "x", "until": "soon"}),
        ("close", {"reason": ""}),
        ("mark", {}),
        ("snooze", {"until": "2026-12-01"}),
        ("erase_person", {"user_id": None}),
        ("note", {}),
    ],
)
def test_malformed_commands_are_refused_whole(name: str, fields: dict[str, Any]) -> None:
    """A dead letter, and nothing half applied."""
    facts = Facts()
    with pytest.raises(InvalidBody):
        plan_set().fold(facts, command(name, **fields))
    assert facts == Facts()
