"""What is told of an account is what holds now, whatever was announced."""

from __future__ import annotations

from typing import Any

from services.activation_engine.domain.description import describe
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.rows import plan_rows
from tests.builders import command, day, event, plan_set, traits
from tests.unit.engine.story import Story


def test_who_is_not_activated_any_more_has_no_time_of_activation() -> None:
    """The signal stays sent."""
    story = Story(plan_set())
    story.happens(event(at=day(0)))
    marks: dict[str, Any] = {f"reached__{one.id}": rfc3339(day(1)) for one in story.plans.live[0].plan.milestones}
    story.happens(traits(day(1), **marks))
    assert "account.activated" in [one.type for one in story.signals]
    assert _standing(story)["activated_at"] == rfc3339(day(1))
    taken_back: dict[str, Any] = dict.fromkeys(marks)
    story.happens(traits(day(2), **taken_back))
    assert (_standing(story)["status"], _standing(story)["activated_at"]) == ("on_track", None)


def test_rows_know_when_an_account_was_paused() -> None:
    """Merged, without the empty ones, as PostgreSQL writes them."""
    story = Story(plan_set())
    story.happens(event(at=day(0)))
    assert _paused(story) is None
    for at, until in ((1, 2), (2, 3), (5, 5), (7, None)):
        story.happens(command("pause", day(at), reason="x", until=None if until is None else rfc3339(day(until))))
    assert _paused(story) == f"{{[{day(1)},{day(3)}),[{day(7)},)}}"


def _paused(story: Story) -> str | None:
    (row,) = plan_rows(story.accounts["acme"], story.plans)
    return row.paused


def _standing(story: Story) -> dict[str, Any]:
    plans: list[dict[str, Any]] = describe(story.accounts["acme"], story.plans, story.clock)["plans"]
    return plans[0]
