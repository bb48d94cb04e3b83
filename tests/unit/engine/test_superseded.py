"""What an earlier version of a plan found stays reached, whatever a later one asks for; marks can be taken back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.account import CLOSED, PlanState
from services.activation_engine.domain.description import describe, superseded_milestones
from services.activation_engine.domain.encoding import decode, encode, state_bytes_max
from services.activation_engine.domain.explanation import explain
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.transitions import adopt
from tests.builders import SMALL_PLAN, command, day, event, plan, plan_set, traits
from tests.fakes.oracle import Oracle, Record, Tick
from tests.unit.engine.story import Story
from tests.unit.engine.test_worlds import Reloading, standings
from tests.unit.engine.worlds import LOGS, PLANS, RESTLESS

ALIAS = SMALL_PLAN.replace("[Data Imported]", "[Data Imported, Data Loaded]")
WHERE = SMALL_PLAN.replace("when: data.imported", "when: {event: data.imported, where: {rows: {gte: 0}}}")
TEAM = SMALL_PLAN.replace("data: {due: week 1, when: data.imported}", "data: {due: week 1, when: {people: 1}}")
EXCLUDE = TEAM + "activity: {exclude: ['billing.*']}\n"


def started(text: str = SMALL_PLAN, *, until: float = 5) -> Story:
    """`data` is reached on day 1."""
    story = Story(plan_set([plan(text)]))
    story.happens(traits(day(0), contract_start="2026-11-02"), event("Data Imported", day(1)))
    story.until(until)
    return story


def publish(story: Story, text: str, version: int = 2) -> None:
    """The text goes live now, and the next tick sweeps."""
    assert story.clock.clock_ms is not None
    story.take(plan_set([plan(text)], version=version, live_from=story.clock.clock_ms))


def known(story: Story) -> PlanState:
    """Where acme stands."""
    return story.accounts["acme"].plans["small"]


@pytest.mark.parametrize(("text", "edited"), [(SMALL_PLAN, ALIAS), (SMALL_PLAN, WHERE), (TEAM, EXCLUDE)])
def test_an_edited_condition_loses_nothing(text: str, edited: str) -> None:
    """A milestone announced under version 1 stays reached under version 2, and nobody is paged about it."""
    story = started(text)
    publish(story, edited)
    for number in range(5, 13):
        story.happens(event("Page Viewed" if text is SMALL_PLAN else "billing.paid", day(number)))
        assert story.until(number + 1) == []
    assert known(story).now_reached() == {"data": day(1)}
    shown = describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]["milestones"]
    assert [one["superseded"] for one in shown] == [True, False, False]
    assert superseded_milestones(story.accounts["acme"], story.plans) == [{"plan": "small", "milestone": "data"}]
    told = explain(story.accounts["acme"], story.plans, story.clock)["plans"][0]["conditions"][0]
    assert (told["met"], told["superseded"], told["measured"]) == (True, True, 0)


def test_an_activated_account_stays_activated() -> None:
    """With its dates, and with what the new condition finds later on."""
    story = started(until=1.1)
    story.happens(event("Report Made", day(2)))
    publish(story, ALIAS)
    assert story.until(30) == []
    assert (story.status(), known(story).activated_at_ms) == ("activated", day(2))
    assert story.happens(event("Data Loaded", day(30))) == []
    assert known(story).now_reached() == {"data": day(1), "output": day(2)}
    shown = describe(story.accounts["acme"], story.plans, story.clock)["plans"][0]
    assert (shown["first_value_at"], shown["milestones"][0]["superseded"]) == ("2026-11-04T00:00:00Z", False)


def test_an_earlier_date_counts_and_the_next_version_holds_on() -> None:
    """The earliest of what was held and what is found; a version that dropped the milestone forgets nothing."""
    story = started()
    publish(story, ALIAS)
    story.until(5.1)
    story.happens(event("Data Loaded", day(0.5), appended=day(5.1)))
    assert known(story).now_reached() == {"data": day(0.5)}
    dropped = ALIAS.replace("  data: {due: week 1, when: data.imported}\n", "").replace("needs: [data], ", "")
    publish(story, dropped, 3)
    story.until(6)
    assert known(story).now_reached() == {}
    publish(story, WHERE, 4)
    story.until(7)
    assert known(story).now_reached() == {"data": day(0.5)}


def test_nothing_is_held_that_the_version_finds() -> None:
    """A copy, and a condition whose own facts have caught up by the next version."""
    story = started()
    publish(story, SMALL_PLAN + "title: Another\n")
    story.until(6)
    assert known(story).held == {}
    publish(story, ALIAS, 3)
    story.until(7)
    story.happens(event("Data Loaded", day(0.5), appended=day(7)))
    publish(story, ALIAS + "title: Another\n", 4)
    story.until(8)
    assert known(story).held == {}


@pytest.mark.parametrize("closed", [False, True])
def test_a_mark_can_be_taken_back(closed: bool) -> None:
    """Before or after the new version, also where a closed account did not hear of it."""
    story = Story()
    story.happens(traits(day(0), contract_start="2026-11-02", reached__data="2026-11-02"), event(at=day(0)))
    story.until(2)
    if closed:
        story.happens(command("close", day(2), reason="churned"), traits(day(3), reached__data=None))
    publish(story, ALIAS)
    story.until(4)
    if closed:
        story.happens(command("reopen", day(4)))
    else:
        assert known(story).now_reached() == {"data": day(0)}
        story.happens(traits(day(4), reached__data=None))
    assert known(story).now_reached() == {}


@pytest.mark.parametrize("mark", [{3: None}, {3: "2026-11-05"}, {3: "2026-11-05", 3.5: None}])
def test_a_mark_hides_no_event_of_who_is_closed(mark: dict[float, str | None]) -> None:
    """A date that no mark can have given is kept: the mark was taken back before the closing, or is another date."""
    story = started(until=2)
    if None in mark.values():
        story.happens(traits(day(2), reached__data="2026-11-02"))
    story.happens(*(traits(day(at), reached__data=date) for at, date in mark.items()))
    story.happens(command("close", day(4), reason="churned"))
    assert known(story).now_reached() == {"data": day(1)}
    publish(story, ALIAS)
    story.until(5)
    story.happens(command("reopen", day(5)))
    assert known(story).now_reached() == {"data": day(1)}


def test_what_earlier_versions_named_is_bounded() -> None:
    """However often milestones are renamed; those of the newest dates are kept, should they return."""
    story = Story(plan_set([plan(renamed(1))]))
    story.happens(*(event(f"e{number}.done", day(number / 100)) for number in range(40)))
    for version in range(2, 11):
        story.until(version / 10)
        publish(story, renamed(version), version)
    story.until(1.1)
    assert len(known(story).now_reached()) == 40
    assert len(encode(story.accounts["acme"])) < state_bytes_max(plan(renamed(10)))
    gone = known(story).held.keys() - plan(renamed(10)).by_id.keys()
    assert {one[-2:] for one in gone} == {"37", "38", "39"}
    assert gone <= known(story).reached.keys()


def renamed(version: int) -> str:
    """Forty milestones under names of this version."""
    names = [f"milestone_{version:02}_{number:02}" for number in range(40)]
    lines = [f"  {one}: {{when: e{number}.done}}" for number, one in enumerate(names)]
    return "\n".join(["plan: small", "milestones:", *lines, f"first_value: {names[0]}", ""])


@pytest.mark.parametrize("frozen", ["close", "leave", "retire"])
def test_an_account_that_comes_back_has_lost_nothing(frozen: str) -> None:
    """Closed, not covered, or under a plan that was retired while the condition was edited."""
    story = started(SMALL_PLAN + "applies_to: {tier: {ne: free}}\n")
    if frozen == "close":
        story.happens(command("close", day(5), reason="churned"))
    elif frozen == "leave":
        story.happens(traits(day(5), tier="free"))
    else:
        story.take(PlanSet.of(()))
    story.until(6)
    assert story.status() == CLOSED
    publish(story, ALIAS + "applies_to: {tier: {ne: free}}\n", 3)
    story.until(7)
    story.happens(command("reopen", day(7)), traits(day(7), tier="paid"))
    story.until(8)
    assert known(story).now_reached() == {"data": day(1)}


def test_a_row_of_before_is_read() -> None:
    """It was stored without the newest fields, which come last."""
    newest = PlanState.__struct_fields__.index("held")
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(PlanState(3, reached={"data": 1})))
    assert msgspec.convert(stored[:newest], PlanState) == PlanState(3, reached={"data": 1})


EDITED = [
    RESTLESS.replace("when: a.b", "when: {any: [a.b, x.y]}"),
    RESTLESS.replace("count: 2", "count: 2, where: {rows: {exists: true}}").replace("{people: 3}", "{people: 2}"),
    RESTLESS.replace("m4: {needs: [m1], when: e.f", "m4: {when: {event: e.f, count: 2}"),
    RESTLESS + "activity: {exclude: [billing.*, a.b]}\n",
]
SETS = [[plan(text)] for text in EDITED] + [[one.plan for one in PLANS.live]]


@settings(max_examples=40, derandomize=True)
@given(LOGS, st.dictionaries(st.integers(0, 60), st.integers(0, len(SETS) - 1), max_size=4))
def test_no_version_takes_anything_back(records: list[Record], versions: dict[int, int]) -> None:
    """Adopting never drops a date or makes one later, and depends on nothing that is not stored."""
    usual, reloading = Oracle(PLANS), Reloading(PLANS)
    for number, record in enumerate(records):
        if number in versions:
            plans = PlanSet.of(LivePlan(one, number + 2, usual.clock.clock_ms or 0) for one in SETS[versions[number]])
            usual.take(plans)
            reloading.take(plans)
            for account, state in usual.accounts.items():
                before = {one: now.now_reached() for one, now in state.plans.items() if now.status != CLOSED}
                adopted = decode(account, encode(state))
                adopt(adopted, plans, usual.clock)
                for one, dates in before.items():
                    after = adopted.plans[one].now_reached()
                    assert all(after[milestone] <= at for milestone, at in dates.items())
        assert [one.id for one in usual.take(record)] == [one.id for one in reloading.take(record)]
        if isinstance(record, Tick):
            assert standings(usual) == standings(reloading)
