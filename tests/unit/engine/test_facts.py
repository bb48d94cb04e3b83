"""Facts are joins: order, repetition and splitting of a stream change neither them nor what they lead to."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.activation_engine.domain.encoding import UnknownEncoding, decode, encode
from services.activation_engine.domain.event import Event, InvalidBody
from services.activation_engine.domain.facts import TRAITS_MAX, Facts, merge
from services.activation_engine.domain.plan import reached_milestones
from tests.builders import DAY_MS, HOUR_MS, START_MS, day, event, plan, plan_set, traits
from tests.fakes.oracle import Oracle, Record, Tick, fold_partition

RICH = """
plan: rich
title: Every kind of condition
events: {data.imported: [Data Imported], report.made: [Report Made, Report Built]}
milestones:
  data: {due: week 1, when: data.imported}
  big: {when: {event: data.imported, where: {rows: {gte: 100}}}, required: false}
  habit: {due: week 2, needs: [data], when: {event: report.made, count: 3}}
  either: {when: {any: [big, {event: "report.*", count: 2}]}, required: false}
  both: {when: {all: [habit, either]}}
  seen: {when: {event: "*", count: 4}, required: false}
  by_hand: {required: false}
first_value: habit
stalled: {overdue: 7d, quiet: 14d}
"""
PLANS = plan_set([plan(RICH), plan()])
# Everything reaches the log at one moment, so that order is all that differs between permutations.
LOGGED = day(40)

NAMES = st.sampled_from(["Data Imported", "Report Made", "Report Built", "report.extra", "Page Viewed"])
EVENTS = st.builds(
    lambda name, hour, message, rows, user: event(
        name,
        day(0) + hour * HOUR_MS,
        message=f"m{message}",
        user=user,
        appended=LOGGED,
        properties={"rows": rows},
    ),
    NAMES,
    st.integers(0, 900),
    st.integers(0, 12),
    st.sampled_from([5, 100, 2_000]),
    st.sampled_from(["ann", "bob", None]),
)
SETS = st.builds(
    lambda hour, message, values: traits(day(0) + hour * HOUR_MS, message=f"t{message}", appended=LOGGED, **values),
    st.integers(0, 900),
    st.integers(0, 4),
    st.dictionaries(
        st.sampled_from(["segment", "name", "reached__by_hand", "reached__data"]),
        st.sampled_from(["smb", "large", "2026-11-05", "2026-11-09T12:00:00Z"]),
        min_size=1,
    ).filter(lambda values: all(v.startswith("2026") for k, v in values.items() if k.startswith("reached"))),
)
WAIVERS = st.builds(
    lambda hour, message, waived: traits(
        day(0) + hour * HOUR_MS, message=f"w{message}", appended=LOGGED, waived__both=waived
    ),
    st.integers(0, 12),
    st.integers(0, 4),
    st.sampled_from([True, False, None]),
)
STREAMS = st.lists(EVENTS | SETS | WAIVERS, min_size=1, max_size=24)


def fresh(records: list[Event]) -> list[Event]:
    """The same records, undecoded again."""
    return [msgspec.structs.replace(one, _client=None) for one in records]


def ticks() -> list[Tick]:
    """A clock that goes over every deadline after everything has reached the log."""
    minutes = range(0, 60 * DAY_MS, 6 * HOUR_MS)
    return [Tick(LOGGED + at, LOGGED + at, LOGGED + at) for at in minutes]


def outcome(records: list[Record]) -> tuple[Facts, list[dict[str, int]], list[str]]:
    """Facts, reached milestones and the ids of all signals."""
    oracle = fold_partition([*records, *ticks()], PLANS)
    state = oracle.accounts["acme"]
    reached = [state.plans[live.plan.id].now_reached() for live in PLANS.live]
    return state.facts, reached, sorted(signal.id for signal in oracle.signals)


@settings(max_examples=150)
@given(STREAMS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(records: list[Event], rng: random.Random) -> None:
    """Any permutation with any duplicates gives equal facts, equal milestones and the same signal ids."""
    shuffled = records + [one for one in records if rng.random() < 0.4]
    rng.shuffle(shuffled)
    assert outcome([*fresh(shuffled)]) == outcome([*fresh(records)])


@settings(max_examples=100)
@given(STREAMS, st.integers(0, 24))
def test_a_stored_state_continues_as_if_never_stored(records: list[Event], cut: int) -> None:
    """Splitting a stream at any place, with the state encoded and decoded between, changes nothing."""
    whole, split = Oracle(PLANS), Oracle(PLANS)
    for number, record in enumerate(records):
        if number == cut and "acme" in split.accounts:
            stored = encode(split.accounts["acme"])
            split.accounts["acme"] = decode("acme", stored)
        for oracle, one in zip((whole, split), fresh([record, record]), strict=True):
            oracle.take(one)
    for tick in ticks():
        whole.take(tick)
        split.take(tick)
    assert encode(split.accounts["acme"]) == encode(whole.accounts["acme"])
    assert [msgspec.structs.asdict(one) for one in split.signals] == [
        msgspec.structs.asdict(one) for one in whole.signals
    ]


@settings(max_examples=100)
@given(STREAMS, STREAMS)
def test_merging_equals_folding(mine: list[Event], theirs: list[Event]) -> None:
    """Facts of two streams joined are the facts of both streams folded."""
    one, two, both = Facts(), Facts(), Facts()
    for facts, records in ((one, mine), (two, theirs), (both, mine + theirs)):
        for record in fresh(records):
            PLANS.fold(facts, record)
    merge(one, two, PLANS.trackers.values())
    assert one == both
    merge(one, two, PLANS.trackers.values())
    assert one == both


@given(STREAMS)
def test_encoding_round_trip(records: list[Event]) -> None:
    """What is stored is what is read, bit by bit."""
    state = fold_partition(records, PLANS).accounts["acme"]
    copy = decode("acme", encode(state))
    assert copy.facts == state.facts
    assert copy.plans == state.plans
    assert encode(copy) == encode(state)


NEWER = msgspec.msgpack.encode([2, 0, [{}, {}, None, None], {}, None, 0, 1])


@pytest.mark.parametrize("data", [b"", b"\x91\x01", NEWER])
def test_unknown_encodings_are_refused(data: bytes) -> None:
    """Bytes of a newer release, or no state at all, are an error and never a fresh account."""
    with pytest.raises(UnknownEncoding):
        decode("acme", data)


def folded(*records: Event) -> Facts:
    """The facts of some records under the small plan."""
    facts, plans = Facts(), plan_set()
    for record in records:
        plans.fold(facts, record)
    return facts


def test_resent_event_counts_once() -> None:
    """A retry with the same id counts once even when its time differs, and the earlier time stays."""
    facts = folded(
        event("Report Made", day(3), message="a"),
        event("Report Made", day(2), message="a"),
        event("Report Made", day(4), message="b"),
        event("Data Imported", day(1)),
    )
    assert "habit" not in reached_milestones(plan(), facts)
    assert reached_milestones(plan(), facts)["output"] == day(2)


def test_nth_event_dates_a_count() -> None:
    """The n-th smallest time counts, whatever arrives later."""
    made = [event("Report Made", day(at)) for at in (9, 2, 5, 7)]
    assert reached_milestones(plan(), folded(*made))["habit"] == day(7)


def test_milestone_waits_for_its_needs() -> None:
    """Reached when both its condition and its prerequisites are, which may be long after the event."""
    early = event("Report Made", day(1))
    assert "output" not in reached_milestones(plan(), folded(early))
    assert reached_milestones(plan(), folded(early, event("Data Imported", day(6))))["output"] == day(6)


def test_mark_stands_alone() -> None:
    """A date set by hand reaches a milestone whatever it needs; the earlier of mark and event counts."""
    facts = folded(traits(day(9), reached__output="2026-11-04"), event("Data Imported", day(5)))
    assert reached_milestones(plan(), facts)["output"] == day(2)
    both = folded(traits(day(9), reached__data="2026-11-09"), event("Data Imported", day(5)))
    assert reached_milestones(plan(), both)["data"] == day(5)


def test_a_mark_in_the_future_is_no_result() -> None:
    """Nobody has reached anything tomorrow; a clock a little ahead is forgiven."""
    assert reached_milestones(plan(), folded(traits(day(1), reached__output="2026-11-04"))) == {}
    assert "output" in reached_milestones(plan(), folded(traits(day(1), reached__output="2026-11-03T00:04:00Z")))


@pytest.mark.parametrize(
    "record",
    [
        event("Report Made", user=None),
        event("Report Made", user="ann", staff=True),
        event("x", kind="identify"),
        event("x", kind="alias"),
        traits(name="Acme"),
        traits(name="Acme", group=True),
    ],
    ids=["no user", "staff", "identify", "alias", "command", "group"],
)
def test_what_is_no_activity(record: Event) -> None:
    """Staff, events without a person, and everything but use of the product."""
    facts = folded(record)
    assert facts.activity == {}


def test_what_software_does_by_itself_counts_by_its_name_alone() -> None:
    """A condition may ask for errors; nobody used the product, and staff's count nowhere."""
    facts = folded(event("Data Imported", kind="identify"), event("", kind="identify"))
    assert reached_milestones(plan(), facts) == {"data": day(0)}
    assert facts.activity == {}
    assert folded(event("Data Imported", kind="identify", staff=True)).trackers == {}


def test_staff_reaches_no_milestone() -> None:
    """A helpful consultant must not activate an account; a server's event without a person may."""
    assert folded(event("Data Imported", staff=True)).trackers == {}
    assert reached_milestones(plan(), folded(event("Data Imported", user=None))) == {"data": day(0)}


def test_last_activity_is_rounded_up() -> None:
    """To a sixty-fourth of the shortest limit on quiet, so that most events change nothing."""
    step = 14 * DAY_MS // 64
    known = folded(event(at=day(1))).activity[0]
    assert known.first_ms == day(1)
    assert known.last_ms is not None
    assert 0 <= known.last_ms - day(1) < step
    assert known.last_ms % step == 0


def test_traits_last_writer_wins() -> None:
    """By timestamp, then message id; null takes a trait back; other shapes and long texts are not kept."""
    newer, older = traits(day(2), message="a", name="New"), traits(day(1), message="z", name="Old")
    assert folded(newer, older).trait("name") == "New"
    tied = traits(day(2), message="b", name="Tied")
    assert folded(tied, newer).trait("name") == folded(newer, tied).trait("name") == "Tied"
    assert folded(newer, traits(day(3), name=None)).trait_values() == {}
    assert folded(traits(name=["x"], owner="o" * 256, seats=3)).trait_values() == {"seats": 3}


def test_traits_beyond_the_limit() -> None:
    """Reserved ones stay; which others stay depends on names alone, not on order."""
    names: list[dict[str, Any]] = [{f"t{number:03}": number} for number in range(TRAITS_MAX + 20)]
    many = [traits(segment="smb", **name) for name in names]
    facts = folded(*many)
    assert len(facts.traits) == TRAITS_MAX
    assert facts.trait("segment") == "smb"
    assert facts == folded(*reversed(many))


def test_marks_beyond_the_limit_push_out_no_reserved_trait() -> None:
    """Dates of many plans' milestones come after what decides how the account is judged."""
    marks: list[dict[str, Any]] = [{f"reached__m{number:03}": "2026-11-01"} for number in range(TRAITS_MAX)]
    facts = folded(*(traits(**mark) for mark in marks))
    plan_set().fold(facts, traits(segment="smb", renewal_at="2027-01-01"))
    assert (facts.trait("segment"), facts.trait("renewal_at")) == ("smb", "2027-01-01")


def test_unreadable_body_changes_nothing() -> None:
    """A body that a condition needs and that is no JSON object is refused before any fact moves."""
    plans, facts = plan_set([plan(RICH)]), Facts()
    broken = event("Data Imported")
    for body in (b"{", b"[]", b"\xff"):
        with pytest.raises(InvalidBody):
            plans.fold(facts, msgspec.structs.replace(broken, body=body))
    assert facts == Facts()


def test_what_is_cut_off_changes_nothing() -> None:
    """Of too many traits the first names are kept: the others are no news, nor is any when it comes again."""
    facts, plans = Facts(), plan_set()
    named: dict[str, Any] = {f"trait_{number:03}": number for number in range(TRAITS_MAX + 4)}
    many = traits(START_MS, group=True, **named)
    assert plans.fold(facts, many) is not None
    assert len(facts.traits) == TRAITS_MAX
    assert plans.fold(facts, many) is None
    assert plans.fold(facts, traits(START_MS + 1, zzz=1)) is None
    assert plans.fold(facts, traits(START_MS + 1, aaa=1)) is not None
