"""What an owner keeps in memory: fetched records in order, recently used accounts within a bound."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.transitions import apply_event
from services.activation_engine.intake_buffer import IntakeBuffer
from services.activation_engine.partition import AccountCache, Held
from tests.builders import command, day, event, plan_set, traits


@dataclass
class Fetched:
    """All that a buffer looks at."""

    offset: int


def fetched(*offsets: int) -> list[Fetched]:
    return [Fetched(offset) for offset in offsets]


def offsets(buffer: IntakeBuffer) -> list[int]:
    return [record.offset for record in buffer.peek(1_000)]


def test_records_that_were_applied_are_dropped_and_counted() -> None:
    """A fetch may start below the place that the lease names."""
    buffer = IntakeBuffer(5)
    assert buffer.offer(fetched(3, 4, 5, 6))
    assert (offsets(buffer), buffer.expected, buffer.redelivered) == ([5, 6], 7, 2)


def test_nothing_is_taken_across_a_hole() -> None:
    """Records above the expected one are refused until the place was asked for again."""
    buffer = IntakeBuffer(5)
    assert not buffer.offer(fetched(8, 9))
    assert len(buffer) == 0
    buffer.sought = 5
    assert buffer.offer(fetched(8, 9))
    assert offsets(buffer) == [8, 9]


def test_a_fetch_of_old_records_alone_is_refused() -> None:
    """It was made from a wrong place, so that the place has to be asked for again."""
    buffer = IntakeBuffer(5)
    assert not buffer.offer(fetched(0, 1))
    assert (len(buffer), buffer.redelivered) == (0, 2)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.integers(0, 10)), max_size=30))
def test_what_comes_out_is_gapless_whatever_comes_in(fetches: list[tuple[int, int, int]]) -> None:
    """No record is skipped, doubled or moved, however fetches overlap."""
    buffer, applied = IntakeBuffer(0), []
    for start, length, take in fetches:
        buffer.offer(fetched(*range(start, start + length)))
        taken = buffer.peek(take)
        buffer.consume(len(taken))
        applied += [record.offset for record in taken]
    applied += offsets(buffer)
    assert applied == list(range(buffer.expected))


def held(number: int) -> Held:
    return Held(AccountState.new(f"a{number}", 0))


def test_accounts_in_use_survive_and_others_are_forgotten() -> None:
    """Those that were asked for last stay, exactly as many as may."""
    cache = AccountCache(20)
    for number in range(200):
        assert cache.missing(["a0"]) == ([] if number else ["a0"])
        cache.put(held(number))
        cache.trim()
        assert len(cache) == min(number + 1, 20)
    assert cache.missing(["a0", "a180", "a181", "a199"]) == ["a180"]


def test_no_account_is_lost_within_a_batch() -> None:
    """Only trimming forgets."""
    cache = AccountCache(2)
    for number in range(50):
        cache.put(held(number))
    assert cache.missing([f"a{number}" for number in range(50)]) == []


def held_by(one: object) -> Iterator[object]:
    """What an object refers to, but for the plans, which refer to no account."""
    if isinstance(one, msgspec.Struct):
        assert not gc.is_tracked(one), f"the collector is told of {type(one).__name__}"
        yield from (getattr(one, name) for name in one.__struct_fields__)
    elif isinstance(one, dict):
        yield from one.values()
    elif isinstance(one, list | tuple):
        yield from one


def assert_no_cycle(one: object, above: tuple[int, ...] = ()) -> None:
    """No object refers to itself, however indirectly."""
    assert id(one) not in above, f"{type(one).__name__} holds itself"
    for other in held_by(one):
        if not isinstance(other, PlanSet):
            assert_no_cycle(other, (*above, id(one)))


def test_accounts_hold_no_cycles() -> None:
    """Else they would never be freed: the collector of garbage is not told of them."""
    plans, clock = plan_set(), PartitionClock(clock_ms=day(30))
    state = AccountState.new("acme", day(0))
    for one in (
        event("Data Imported", day(1), role="champion"),
        traits(at=day(1), segment="smb"),
        command("pause", day(3), reason="holidays"),
        command("resume", day(4)),
    ):
        apply_event(state, one, plans, clock)
    apply_tick(state, plans, clock)
    assert state.plans, "the story leads somewhere"
    assert_no_cycle(Held(state))
