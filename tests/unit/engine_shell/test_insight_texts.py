"""The sentences of insights: those of the documented examples, and those where there is little to tell."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from services.activation_engine.api import insight_examples as examples
from services.activation_engine.api.examples import PLAN_YAML
from services.activation_engine.insights import adoption, funnel, obstacles, owners, status, surprises, ttfv
from services.activation_engine.insights.scope import COHORTS_MAX, Scope, Wanted
from services.activation_engine.plans.loader import load_plan

NOWHERE: Any = None


def scope(text: str = PLAN_YAML, *, owner: str | None = None) -> Scope:
    """Of a plan, without a database."""
    return Scope(NOWHERE, load_plan(text).plan, 3, None, Wanted(owner=owner))


TOLD: dict[str, tuple[dict[str, Any], Callable[[Scope, Any], str]]] = {
    "status": (examples.STATUS, lambda scope, answer: status._text(scope, answer["total"])),
    "funnel": (examples.FUNNEL, lambda scope, answer: funnel._text(scope, answer["total"])),
    "ttfv": (examples.TTFV, lambda scope, answer: ttfv._text(scope, answer["total"])),
    "adoption": (examples.ADOPTION, lambda scope, answer: adoption._text(scope, answer["total"])),
    "obstacles": (examples.OBSTACLES, lambda scope, one: obstacles._text(scope, one["accounts"], one["obstacles"])),
    "owners": (examples.OWNERS, lambda scope, answer: owners._text(scope, answer["owners"])),
}
NOTHING = {"total": {"accounts": 0}, "accounts": 0, "obstacles": [], "owners": []}


@pytest.mark.parametrize("name", TOLD)
def test_an_example_says_what_is_answered(name: str) -> None:
    """Of its numbers, word for word."""
    example, text = TOLD[name]
    assert text(scope(), example) == example["text"]


@pytest.mark.parametrize("name", TOLD)
def test_without_accounts_that_is_told(name: str) -> None:
    """And not as a row of zeros; where a filter leaves none, others may be there."""
    _, text = TOLD[name]
    assert text(scope(), NOTHING).startswith("No account ")
    assert text(scope(owner="dana"), NOTHING).startswith("No such account ")


def test_the_longest_step_may_be_the_first() -> None:
    """It begins at the start, where every other begins at the milestone before."""
    data, output = examples.FUNNEL["total"]["milestones"]
    total = {"accounts": 196, "milestones": [{**data, "median_days": 30.0}, output]}
    assert funnel._text(scope(), total).endswith(" The longest step is to First data: 30 days at the median.")


def test_a_plan_without_a_window_has_no_rate() -> None:
    """However long somebody was watched."""
    total = {**examples.TTFV["total"], "activation_rate": {"rate": None}}
    assert ttfv._text(scope(), total).startswith("Nobody was watched for a whole window yet; half of")
    without = "plan: mine\nmilestones: {value: {when: a.b}}\nfirst_value: value\n"
    assert ttfv._text(scope(without), total).startswith("The plan has no window; half of 196 accounts")


def test_adoption_is_not_known_before_somebody_was_judged() -> None:
    """Or when the plan has no features."""
    total = {**examples.ADOPTION["total"], "mean_adoption": None}
    assert adoption._text(scope(), total).endswith("By version 3 of the plan nobody's adoption is known yet.")
    assert "names no core features" in adoption._text(scope(), {**total, "features": []})


def test_help_is_needed_also_where_few_accounts_are() -> None:
    """By owners that are not shown, because they have the fewest accounts."""
    rows = [of_owner(f"owner-{number}", accounts=2) for number in range(COHORTS_MAX)]
    answer = owners._compared(scope(), [of_owner("zoe", accounts=1, stalled=1), *rows])
    assert (len(answer["owners"]), answer["owners_left_out"]) == (COHORTS_MAX, 1)
    assert answer["text"].startswith("Most help is needed where zoe is responsible: 1 of 1 account is")


def of_owner(name: str, **counts: int) -> Any:
    """A row of the query, of accounts that have not started."""
    counted = dict.fromkeys(owners._COUNTS, 0) | counts
    return SimpleNamespace(owner=name, segment=None, done=None, waiting=None, **counted)


@pytest.mark.parametrize(("count", "told"), [(1, "Page Viewed (once)."), (9_120, "Page Viewed (9,120 times).")])
def test_an_event_comes_once_or_many_times(count: int, told: str) -> None:
    """Never one times."""
    seen: Any = SimpleNamespace(name="Page Viewed", count=count)
    assert surprises._text([seen]).endswith(told)
