"""What is known to change nothing would change nothing, whatever plans ask for and in whatever order it comes."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.repeats import Repeats
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.transitions import apply_event
from tests.builders import DAY_MS, HOUR_MS, command, day, event, plan, plan_set

# A leaf of every kind, by name, by the beginning of a name, by properties; and one side of a loop.
EVERY_KIND = """
plan: every
milestones:
  first: {when: "data.imported"}
  large: {when: {event: "report.made", where: {rows: {gte: 2}}}, required: false}
  thrice: {when: {event: "page.viewed", count: 3}, required: false}
  often: {when: {event: "page.viewed", count: 4}, required: false}
  three: {when: {people: 3}, required: false}
  daily: {when: {days: 3}, required: false}
  habit: {when: {days: 2, event: "list.opened"}, required: false}
  team: {when: {people: 2, event: "report.made"}, required: false}
first_value: first
stalled: {quiet: 14d}
opportunities:
  loop: {after: "page.left", until: conversation.held, open: 14d}
"""
SHORT_DAYS = """
plan: short
day: 7h
milestones:
  first: {when: {event: "list.opened", days: 3}}
  daily: {when: {days: 4}, required: false}
first_value: first
"""
# Names that no plan asks for are told apart all the same where some are excluded, or where beginnings count.
EXCLUDING = "activity: {exclude: [help.opened]}\nfirst_value"
BEGINNING = EVERY_KIND.replace('"page.viewed", count: 4', '"page.*", count: 4')
ASKED_FOR = ["data.imported", "report.made", "page.viewed", "page.left", "list.opened"]
OTHERS = ["help.opened", "list.closed"]

KINDS = st.tuples(
    st.sampled_from(ASKED_FOR + OTHERS * 3),
    st.sampled_from(["ann", "ann", "ann", "bob", None]),
    st.sampled_from([None, None, None, "champion"]),
)
# Quarters of an hour since the record before, and by how many this one is late; whether it is like that one, or the
# same sent again; then what else it tells.
STEPS = st.tuples(
    st.sampled_from([0, 1, 1, 2, 12, 96]),
    st.sampled_from([0, 0, 0, 0, 1, 12, 96]),
    st.sampled_from(["new", "new", "alike", "again"]),
    KINDS,
    st.integers(1, 3),
    st.sampled_from([0, 0, HOUR_MS, -DAY_MS]),
    st.sampled_from([False] * 15 + [True]),
)


def log_of(steps: list[Any]) -> Iterator[Event]:
    """Uses, many of which repeat, and now and then an erasure."""
    now, number, told = day(0.3), 0, ("list.closed", "ann", None)
    for further, late, how, kind, rows, travelled, erased in steps:
        now += further * HOUR_MS // 4
        at = now - late * HOUR_MS // 4
        told = kind if how == "new" else told
        number += how != "again"
        if erased:
            yield command("erase_person", at, user_id="ann")
            continue
        name, user, role = told
        properties, appended = {"rows": rows}, at + travelled
        yield event(name, at, user=user, role=role, message=f"m{number}", properties=properties, appended=appended)


@pytest.mark.parametrize("text", [EVERY_KIND, BEGINNING])
@pytest.mark.parametrize("excluding", [False, True])
@settings(max_examples=150)
@given(steps=st.lists(STEPS, min_size=20, max_size=60))
def test_what_is_covered_would_change_nothing(text: str, excluding: bool, steps: list[Any]) -> None:
    """As of a state to which every record is applied."""
    texts = [one.replace("first_value", EXCLUDING) if excluding else one for one in (text, SHORT_DAYS)]
    plans, repeats = plan_set(map(plan, texts)), Repeats()
    state, clock = AccountState.new("acme", day(0)), PartitionClock(clock_ms=day(0))
    for one in log_of(steps):
        if repeats.cover(one, plans):
            assert plans.fold(deepcopy(state.facts), one) is None
        taken(repeats, one, state, plans, clock)


def taken(
    repeats: Repeats, one: Event, state: AccountState, plans: PlanSet, clock: PartitionClock | None = None
) -> bool:
    """Apply a record, learn from it if nothing changed, and tell whether it did."""
    state.dirty = False
    apply_event(state, one, plans, clock or PartitionClock(clock_ms=day(0)))
    if not state.dirty:
        repeats.learn(one, plans, state.facts)
    return state.dirty


def use(minute: int, **more: object) -> Event:
    return event(**{"at": day(0) + minute * 60_000, "role": "champion", "name": "list.closed"} | more)  # type: ignore[arg-type]


def learned(text: str = EVERY_KIND) -> tuple[Repeats, AccountState, PlanSet]:
    """Of one person who did the same thing twice."""
    repeats, plans, state = Repeats(), plan_set([plan(text)]), AccountState.new("acme", day(0))
    assert taken(repeats, use(0), state, plans)
    assert not taken(repeats, use(1), state, plans)
    return repeats, state, plans


def test_the_like_of_what_changed_nothing_is_covered() -> None:
    """Later, in the same step and day; not what is another account's, person's, role's or no use at all."""
    repeats, _, plans = learned()
    assert repeats.cover(use(2), plans)
    for other in (
        use(1),
        use(2, account="birch"),
        use(2, user="bob"),
        use(2, user=None),
        use(2, role="executive"),
        use(2, role=None),
        use(2, staff=True),
        use(2, kind="identify"),
        use(2, name="report.made"),
        use(24 * 60),
    ):
        assert not repeats.cover(other, plans), other
    assert not repeats.cover(use(2), plan_set([plan(EVERY_KIND)])), "other plans ask for other things"


def test_names_that_no_plan_asks_for_are_alike() -> None:
    """What is known of one is known of all, unless beginnings of names count or some are no activity."""
    repeats, _, plans = learned()
    assert repeats.cover(use(2, name="unheard.of"), plans)
    for text in (BEGINNING, EVERY_KIND.replace("first_value", EXCLUDING)):
        repeats, _, plans = learned(text)
        assert not repeats.cover(use(2, name="unheard.of"), plans)


def test_what_passes_no_test_teaches_nothing_of_the_time_before_what_passed() -> None:
    """A late use that passes is earlier than the first that did."""
    repeats, plans, state = Repeats(), plan_set([plan(EVERY_KIND)]), AccountState.new("acme", day(0))
    passing, failing = ({"name": "report.made", "properties": {"rows": rows}} for rows in (2, 1))
    assert taken(repeats, use(60, **passing), state, plans)
    assert taken(repeats, use(0, **failing), state, plans)
    assert not taken(repeats, use(1, **failing), state, plans)
    assert repeats.cover(use(61, **passing), plans)
    assert not repeats.cover(use(30, **passing), plans)
    assert taken(repeats, use(30, **passing), state, plans)


def test_a_new_stretch_begins_anew_and_a_clock_ahead_begins_none() -> None:
    """So that nothing is kept of what comes no more, and no client with a wrong clock makes all others strangers."""
    repeats, state, plans = learned()
    for minute in (0, 1):
        taken(repeats, use(60 * 24 * 9 + minute, appended=day(0)), state, plans)
    assert repeats.cover(use(2), plans)
    for minute in (3, 4):
        taken(repeats, use(minute, user="bob", appended=day(0)), state, plans)
    assert repeats.cover(use(5, user="bob"), plans), "ahead by a moment, in a stretch that others began"
    for minute in (0, 1):
        taken(repeats, use(60 * 24 * 11 + minute), state, plans)
    assert not repeats.cover(use(2), plans)
    assert len(repeats) == 1


def test_clocks_that_are_all_ahead_are_learned_from() -> None:
    """As of one program that sends everything, or where the broker's clock is behind: once the log is in their stretch,
    which begins with the minute 541 here."""
    repeats, plans, state = Repeats(), plan_set([plan(EVERY_KIND)]), AccountState.new("acme", day(0))

    def ahead(minute: int) -> Event:
        return use(minute, appended=day(0) + (minute - 60) * 60_000)

    for minute, covered in ((542, False), (543, False), (600, False), (601, False), (602, True), (603, True)):
        assert repeats.cover(ahead(minute), plans) is covered, minute
        taken(repeats, ahead(minute), state, plans)


def test_it_is_bounded() -> None:
    """Beyond the limit it begins anew."""
    repeats, _, plans = learned()
    repeats.trim(1)
    assert repeats.cover(use(2), plans)
    repeats.trim(0)
    assert not repeats.cover(use(2), plans)
