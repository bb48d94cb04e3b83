"""Activity is a join, however it is folded."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.activity import DAYS_KEPT, Activity, ActivityRule, copy_of, join_activity
from services.activation_engine.domain.activity_fold import Fold, fold_activity
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.people import PEOPLE_KEPT, ROLES_KEPT
from services.activation_engine.domain.rows import active_days, days_key
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.trackers import Selector
from services.activation_engine.domain.transitions import apply_event
from tests.builders import DAY_MS, HOUR_MS, day, event, plan, plan_set

HOW = Fold(5 * HOUR_MS, (DAY_MS, 800))
USES = st.builds(
    lambda name, hour, user, role: event(name, day(0) + hour * HOUR_MS, user=f"user-{user}", role=role),
    st.sampled_from(["Page Viewed", "Report Made"]),
    st.integers(-2_000, 3_000),
    st.integers(0, PEOPLE_KEPT + 4),
    st.sampled_from([None, None, "champion", "executive"]),
)


def folded(uses: list[Event]) -> Activity:
    """The activity of these uses."""
    activity = Activity()
    for use in uses:
        fold_activity(activity, use, use.user_id or "", HOW)
    return activity


@settings(max_examples=300)
@given(st.lists(USES, max_size=40), st.randoms(use_true_random=False))
def test_activity_is_a_join(uses: list[Event], rng: random.Random) -> None:
    """Permuted, repeated or joined from parts, it is the same; folding again changes nothing."""
    whole = folded(uses)
    shuffled = uses + [one for one in uses if rng.random() < 0.3]
    rng.shuffle(shuffled)
    assert folded(shuffled) == whole
    cut = rng.randrange(len(uses) + 1)
    joined = folded(uses[:cut])
    join_activity(joined, folded(uses[cut:]))
    assert joined == whole
    assert not join_activity(joined, whole)
    assert not any(fold_activity(joined, use, use.user_id or "", HOW) for use in uses)
    assert len(whole.people) <= PEOPLE_KEPT
    assert copy_of(whole) == whole


@given(st.lists(USES, min_size=1, max_size=40), st.integers(-100, 200), st.integers(0, 60))
def test_active_days_are_counted(uses: list[Event], first: int, width: int) -> None:
    """Those of the newest 96 days, whatever the order in which they came."""
    today = day(0) // DAY_MS
    activity = folded(uses)
    days = {one.occurred_at_ms // DAY_MS for one in uses}
    known = {one for one in days if one > max(days) - DAYS_KEPT}
    first_day, last_day = today + first, today + first + width
    expected = len({one for one in known if first_day <= one <= last_day})
    assert activity.days_between(first_day, last_day, DAY_MS) == expected


def test_the_first_instant_of_all_is_a_time_like_any_other() -> None:
    """Activity at 0 ms is known, and later than what was before it."""
    epoch, before = Activity(first_ms=0, last_ms=0, did=(0, "x")), Activity(first_ms=-9, last_ms=-5, did=(-9, "y"))
    join_activity(epoch, before)
    assert (epoch.first_ms, epoch.last_ms, epoch.did) == (-9, 0, (0, "x"))


def test_roles_beyond_the_limit() -> None:
    """Standard ones stay; which others stay depends on names alone."""
    uses = [event(at=day(0), role=f"role-{number:02}") for number in range(ROLES_KEPT + 5)]
    uses.append(event(at=day(0), role="it"))
    activity = folded(uses)
    assert len(activity.roles) == ROLES_KEPT
    assert "it" in activity.roles
    assert folded(uses[::-1]) == activity


def test_a_changed_rule_goes_on_from_what_was_activity() -> None:
    """A version that excludes events begins where the one before was, and the start does not move."""
    before = plan_set()
    state, clock = AccountState.new("acme", day(0)), PartitionClock(clock_ms=day(3))
    apply_event(state, event(at=day(1)), before, clock)
    known = copy_of(state.facts.activity[0])
    rule = ActivityRule.without(Selector((), ("billing.",)))
    after = plan_set([msgspec.structs.replace(plan(), activity=rule)], version=2, live_from=day(2))
    apply_event(state, event("billing.paid", day(4)), after, clock)
    assert state.facts.activity == {rule.id: known}
    assert state.plans["small"].start_ms == day(1)
    apply_event(state, event(at=day(5)), after, clock)
    assert state.facts.activity[rule.id] != known


def test_rows_for_queries_know_every_active_day() -> None:
    """A day that came in late, too; none but the first asks for a new row per plan."""
    plans, clock = plan_set(), PartitionClock(clock_ms=day(0))
    state = AccountState.new("acme", day(0))
    for at in (0, 0.3, 2, 1, 2.1):
        state.decided = False
        apply_event(state, event(at=day(at)), plans, clock)
        assert state.decided == (at == 0), at
    newest, bits = active_days(state.facts)[days_key(0, DAY_MS)]
    assert newest == day(2) // DAY_MS
    assert int(bits, 16) == 0b111
