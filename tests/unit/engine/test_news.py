"""Risks about a date ahead, and loops that waited for the first use: news to who could not know of them, also from the
record that starts the account; history where they were told of before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.predicates import Predicate
from services.activation_engine.domain.watches import Watch
from tests.builders import command, day, event, traits
from tests.fakes.oracle import Record
from tests.unit.engine.watched import days, newest, notes, watching

NEAR = Watch("renewal_near", "Renewal", before="renewal_at", within_ms=days(90))
CONTRACT = ("contract_start", "first_event")


def renewal(at: float, *, start: float | None = None) -> Event:
    """A group call that tells of a renewal on day 60, and of when the contract began."""
    told: dict[str, Any] = {} if start is None else {"contract_start": rfc3339(day(start))}
    return traits(day(at), group=True, renewal_at=rfc3339(day(60)), **told)


@pytest.mark.parametrize(
    ("records", "opened"),
    [
        ([renewal(0), event(at=day(0.5))], 0.5),
        ([renewal(0, start=0)], 0),
        ([event(at=day(0)), renewal(20, start=0)], 20),
        ([event(at=day(0)), renewal(20, start=20)], 20),
        ([renewal(0, start=-300), traits(day(0), renewal_at=None), renewal(20)], 20),
    ],
)
def test_a_date_that_is_told_is_news(records: list[Record], opened: float) -> None:
    """With the record that starts the account, or later: nobody could know of it before."""
    story = watching(NEAR, start=CONTRACT)
    story.happens(*records)
    assert story.until(21) == ["risk_opened:renewal_near"]
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(opened), "live")


@pytest.mark.parametrize(
    "records",
    [
        [renewal(0, start=-300)],
        [event(at=day(0)), renewal(3, start=-300)],
        [renewal(0, start=-300), renewal(0.001)],
    ],
)
def test_an_imported_renewal_pages_nobody(records: list[Record]) -> None:
    """An account that started long before it was heard of, also where its use came first, or the date twice."""
    story = watching(NEAR, start=CONTRACT)
    story.happens(*records)
    assert story.until(4) == ["risk_opened:renewal_near"]
    assert story.signals[-1].origin == "catch_up"


@pytest.mark.parametrize(("start", "origin"), [(-300, "catch_up"), (0, "live")])
@pytest.mark.parametrize("length", [0, 5])
@pytest.mark.parametrize("told", [{}, {"owner": None}])
def test_what_is_missing_from_the_start_on_is_no_news_of_an_import(
    start: float, origin: str, length: float, told: dict[str, Any]
) -> None:
    """It counts from the start, when it could first be told, also if it is said to be missing; who is new has `for` to
    tell it."""
    story = watching(Watch("unowned", "Unowned", missing="owner", for_ms=days(length)), start=CONTRACT)
    story.happens(traits(day(0), contract_start=rfc3339(day(start)), **told))
    assert story.until(6) == ["risk_opened:unowned"]
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(start + length), origin)


@pytest.mark.parametrize("length", [0, 5])
def test_what_is_said_to_be_missing_again_is_no_news_of_an_import(length: float) -> None:
    """Before any tick saw the import; unless it had a value meanwhile. It counts from the newest word on the start."""
    told: tuple[tuple[dict[str, Any], float, str], ...] = (
        ({"owner": None}, -300 + length, "catch_up"),
        ({"contract_start": rfc3339(day(-200))}, -200 + length, "catch_up"),
        ({"owner": "dana"}, 0.02 + length, "live"),
    )
    for meanwhile, opened, origin in told:
        story = watching(Watch("unowned", "Unowned", missing="owner", for_ms=days(length)), start=CONTRACT)
        story.happens(
            traits(day(0), contract_start=rfc3339(day(-300)), owner=None),
            traits(day(0.01), **meanwhile),
            traits(day(0.02), owner=None),
        )
        assert story.until(6) == ["risk_opened:unowned"]
        assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(opened), origin)


def test_what_is_missing_before_the_plan_came_is_history() -> None:
    """And what is taken back under it is news, of an import too: dated by that, though it is told again and again."""
    story = watching(Watch("unowned", "Unowned", missing="owner", for_ms=days(2)), start=CONTRACT)
    watched = story.plans
    story.take(PlanSet.of(()))
    story.happens(traits(day(0), contract_start=rfc3339(day(-300))))
    story.until(40)
    story.take(PlanSet.of([LivePlan(watched.live[0].plan, 2, day(40))]))
    assert story.until(40.1)[-1] == "risk_opened:unowned"
    assert story.signals[-1].origin == "catch_up"
    story.happens(traits(day(41), owner="dana"))
    assert story.until(42) == ["risk_closed:unowned"]
    for at in (50, 50.5, 51, 51.5):
        story.until(at)
        story.happens(traits(day(at), group=True, owner=None))
    assert story.until(53) == ["risk_opened:unowned"]
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(52), "live")


def test_a_loop_that_waited_for_the_first_use_is_news() -> None:
    """The first use starts the account as well, and is no moment before which all is history."""
    story = watching(Watch("loop", "Loop", after=newest("a.x")))
    notes(story, ("a.x", 1))
    story.until(20)
    story.happens(event(at=day(20)))
    assert story.until(21)[-1] == "risk_opened:loop"
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(20), "live")


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("change", ["version", "reopened", "covered"])
def test_a_date_that_was_told_before_the_plan_came_is_history(change: str, again: bool) -> None:
    """Before a version with the risk went live, the account was reopened, or the plan covered it at all; also if it is
    told again before the next tick."""
    story = watching(NEAR, start=CONTRACT, applies_to=(Predicate(("tier",), "ne", "free"),))
    watched = story.plans
    if change == "version":
        story.take(PlanSet.of(()))
    story.happens(traits(day(0), tier="free" if change == "covered" else "paid"), renewal(1, start=1))
    if change == "reopened":
        story.happens(command("close", day(1), reason="churned"))
    story.until(40)
    if change == "version":
        story.take(PlanSet.of([LivePlan(watched.live[0].plan, 2, day(40))]))
    story.happens(*([command("reopen", day(40))] if change == "reopened" else [traits(day(40), tier="paid")]))
    if again:
        story.happens(renewal(40.001))
    assert story.until(40.1)[-1] == "risk_opened:renewal_near"
    assert (story.signals[-1].timestamp_ms, story.signals[-1].origin) == (day(1), "catch_up")


def test_a_date_that_is_taken_back_and_told_again_is_news() -> None:
    """Between two ticks; it holds since then."""
    story = watching(NEAR, start=CONTRACT)
    story.happens(renewal(0.001, start=0), traits(day(0.002), renewal_at=None), renewal(0.003))
    assert story.until(0.1) == ["risk_opened:renewal_near"]
    assert story.signals[-1].timestamp_ms == day(0.003)


def test_what_the_first_batch_begins_is_news() -> None:
    """The account is known from the first append on, and the trigger, 100 ms later, was in the same batch."""
    story = watching(Watch("invite", "Invite", opportunity=True, after=newest("Shared"), open_ms=days(30)))
    batch = [
        event(name, day(0) + 100 * number) for number, name in enumerate(("Data.Imported", "Report.Made", "Shared"))
    ]
    story.happens(
        *(msgspec.structs.replace(one, appended_at_ms=day(0) + 300 + number) for number, one in enumerate(batch))
    )
    assert story.until(0.1) == ["opportunity_opened:invite"]
    assert {one.origin for one in story.signals} == {"live"}
