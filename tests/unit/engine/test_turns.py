"""What people ordered is a fact like any other: it joins in any order, and of much the newest is kept."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.facts import Facts, merge
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.orders import (
    TURNS_MAX,
    Pause,
    life_of,
    pause_from,
    pause_on,
    pauses_of,
    still_times,
)
from tests.builders import DAY_MS, command, day, event, plan_set, traits

COMMANDS = st.builds(
    lambda kind, hour, number: {
        "pause": command("pause", day(hour / 24), message=f"p{number}", reason="r", until=rfc3339(day(hour / 24 + 2))),
        "resume": command("resume", day(hour / 24), message=f"r{number}"),
        "close": command("close", day(hour / 24), message=f"c{number}", reason="r"),
        "reopen": command("reopen", day(hour / 24), message=f"o{number}"),
        "waive": command("waive", day(hour / 24), message=f"w{number}", milestone="data"),
        "unwaive": traits(day(hour / 24), message=f"u{number}", waived__data=None),
        "mark": command("mark", day(hour / 24), message=f"m{number}", milestone="data"),
        "move": command("move", day(hour / 24), message=f"v{number}", plan="small" if number % 2 else None),
        "snooze": command("snooze", day(hour / 24), message=f"s{number}", kind="stalled", until=rfc3339(day(number))),
        "erase_person": command("erase_person", day(hour / 24), message=f"e{number}", user_id="ann"),
        "use": event("Data Imported", day(hour / 24), message=f"x{number}", user="ann", role="champion"),
        "note": command("note", day(hour / 24), message=f"n{number}", event="Report Made"),
    }[kind],
    st.sampled_from(
        [
            "pause",
            "resume",
            "close",
            "reopen",
            "waive",
            "unwaive",
            "mark",
            "move",
            "snooze",
            "erase_person",
            "use",
            "note",
        ]
    ),
    st.integers(0, 300),
    st.integers(0, 5),
)


def folded(records: list[Event]) -> Facts:
    """Facts of these records."""
    facts, plans = Facts(), plan_set()
    for record in records:
        plans.fold(facts, record)
    return facts


@settings(max_examples=200)
@given(st.lists(COMMANDS, max_size=14), st.lists(COMMANDS, max_size=6), st.randoms(use_true_random=False))
def test_orders_are_joins(mine: list[Event], theirs: list[Event], rng: random.Random) -> None:
    """Order and repetition change nothing, and facts of two streams merged are those of both folded."""
    whole = folded(mine + theirs)
    shuffled = mine + theirs + [one for one in mine if rng.random() < 0.3]
    rng.shuffle(shuffled)
    assert folded(shuffled) == whole
    merged = folded(mine)
    merge(merged, folded(theirs), plan_set().trackers.values())
    assert merged == whole


@given(st.lists(COMMANDS, max_size=14))
def test_pauses_are_sorted_and_apart(records: list[Event]) -> None:
    """Whatever is ordered in whatever order."""
    facts = folded(records)
    pauses = pauses_of(facts.orders)
    assert all(one.end_ms is None or one.start_ms <= one.end_ms for one in pauses)
    assert all(one.end_ms is not None and one.end_ms <= two.start_ms for one, two in pairwise(pauses))
    still = still_times(facts.orders, ((day(3), day(4)),), day(20))
    assert list(still) == sorted(still)
    assert all(one[1] < two[0] for one, two in pairwise(still))


def test_many_pauses_do_not_undo_a_closing() -> None:
    """Of each there is a limit of its own; order still changes nothing."""
    turns = [command("close", day(1), reason="x"), command("reopen", day(2)), command("close", day(3), reason="y")]
    for number in range(TURNS_MAX):
        turns += [command("pause", day(4 + number), reason="p"), command("resume", day(4.5 + number))]
    life = life_of(folded(turns).orders)
    assert (life.number, life.closed_at_ms) == (2, day(3))
    assert folded(turns[::-1]) == folded(turns)
    assert len(folded(turns).orders.turns) == TURNS_MAX + 3


def test_commands_that_share_an_id_do_not_depend_on_their_order() -> None:
    """Also where so many follow that the oldest are forgotten."""
    others = [command("pause", day(number), reason="p", message=f"o{number}") for number in range(TURNS_MAX)]
    same = [
        command("pause", day(-1), reason="a", message="same"),
        command("pause", day(30.5), reason="b", message="same"),
        command("close", day(2), reason="c", message="same"),
    ]
    whole = folded([*others, *same])
    for order in ([*same, *others], [*same[::-1], *others], [*same[:1], *others, *same[1:]]):
        assert folded(order) == whole
    assert life_of(whole.orders).closed_at_ms == day(2)


def test_which_pause_counts() -> None:
    """The one that is on at that moment, or the next to come; none without pauses, and none once the last is over."""
    orders = folded(
        [
            command("pause", day(1), reason="a", until=rfc3339(day(3))),
            command("pause", day(5), reason="b", until=rfc3339(day(9))),
        ]
    ).orders
    first, second = pauses_of(orders)
    expected = [(0, None, first), (1, first, first), (3, None, second), (8, second, second), (9, None, None)]
    assert [(at, pause_on(orders, day(at)), pause_from(orders, day(at))) for at, _, _ in expected] == expected
    assert pause_from(Facts().orders, day(1)) is None


def test_pausing_again_gives_a_new_end() -> None:
    """An endless pause shortened, and one with an end prolonged."""
    longer = folded(
        [
            command("pause", day(1), reason="a", until=rfc3339(day(3))),
            command("pause", day(2), reason="b", until=rfc3339(day(9))),
        ]
    )
    assert pauses_of(longer.orders) == [Pause(day(1), day(9), "b (customer)")]
    assert still_times(longer.orders, (), day(2)) == ((day(1), day(9)),)
    assert day(9) - day(1) == DAY_MS * 8


def test_what_is_ordered_in_one_millisecond_begins_before_it_ends() -> None:
    """Whatever the ids are, which order equal times otherwise."""
    for number in range(20):
        facts = Facts()
        for name in ("resume", "pause", "reopen", "close"):
            plan_set().fold(facts, command(name, day(1), message=f"{name}{number}", reason="r"))
        assert pause_on(facts.orders, day(2)) is None
        assert life_of(facts.orders).number == 2
