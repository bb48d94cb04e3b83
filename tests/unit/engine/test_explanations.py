"""What a person reads of an account in trouble: every cause of it, and what comes next if nobody does anything."""

from __future__ import annotations

from typing import Any

import msgspec

from services.activation_engine.domain.explanation import explain
from services.cli.account_views import show_explanation
from tests.builders import SMALL_PLAN, command, day, event, plan, plan_set, traits
from tests.unit.engine.story import Story

ESCALATING = SMALL_PLAN + "escalate: {at: 20d, to: [owner, product]}\n"


def begun(text: str = ESCALATING) -> Story:
    """An account of segment smb that started on day 0: output is due on day 7, at risk on 10, stalled on 14."""
    story = Story(plan_set([plan(text)]))
    story.happens(traits(day(0), segment="smb", contract_start="2026-11-02"), event("Data Imported", day(0)))
    return story


def told_of(story: Story) -> dict[str, Any]:
    """The whole explanation of acme."""
    return explain(story.accounts["acme"], story.plans, story.clock)


def test_what_comes_of_a_trouble_is_told() -> None:
    """When it stalls, when somebody else is told of it, and that this was done; nothing of an account in no trouble."""
    story = begun()
    story.until(5)
    assert "Unless" not in told_of(story)["text"]
    story.until(11)
    ahead = " Unless that changes, it is stalled on 16 Nov 2026 and escalated to owner and product on 22 Nov 2026."
    assert told_of(story)["text"].endswith(f"Output is reached by report.made.{ahead}")
    story.until(15)
    only = " Unless that changes, it is escalated to owner and product on 22 Nov 2026."
    assert told_of(story)["text"].endswith(only)
    story.until(21)
    assert told_of(story)["text"].endswith(" It was escalated to owner and product.")
    story.happens(command("pause", day(21), reason="audit"))
    assert "scalated" not in told_of(story)["text"]


def test_every_cause_of_a_trouble_is_told() -> None:
    """Who mends the first alone would be surprised by the second."""
    story = begun()
    story.until(15)
    text = told_of(story)["text"]
    assert "Output is 8 days overdue (due 9 Nov 2026); 1 of 2 required milestones are reached." in text
    assert " Besides, nobody was active for 14 days. Output is reached by report.made." in text


def held_at(story: Story, at: float) -> str:
    """What is told when the clock has gone on in a hold, so that nothing was decided."""
    story.clock = msgspec.structs.replace(story.clock, clock_ms=day(at), hold_until_ms=day(at) + 1_000)
    return str(told_of(story)["text"])


def test_what_holds_by_now_is_told_once() -> None:
    """In a hold a cause that is to be decided is none besides."""
    story = begun(ESCALATING.replace("overdue: 7d, ", ""))
    story.until(11)
    assert held_at(story, 15).count("nobody was active for 14 days") == 1


def test_nothing_past_is_promised() -> None:
    """Neither what a hold has put off, nor what comes of a trouble that the next tick ends."""
    story = begun()
    story.until(11)
    assert "escalated to" in held_at(story, 15)
    assert "escalated to" not in held_at(story, 23)
    story = begun()
    story.until(11)
    story.happens(traits(day(11), segment="large"))
    text = told_of(story)["text"]
    assert "By what is known now it is on track" in text
    assert "Unless" not in text


def test_a_person_sees_what_is_optional_and_what_was_dated_by_hand(capsys: Any) -> None:
    """And who was active when, with what."""
    story = begun()
    story.happens(traits(day(1), reached__output="2026-11-03"))
    story.until(2)
    show_explanation(told_of(story))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "habit Habit (optional) 0 of 3 - -" in lines
    assert any(line.startswith("output Output by hand 2026-11-09") for line in lines)
    assert lines[-1] == "last active about 2026-11-02, beginning with Data Imported"
