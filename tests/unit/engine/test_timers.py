"""The partition's clock, its holes, and plan time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.activation_engine.domain.timers import PartitionClock, advance, after, between
from tests.builders import DAY_MS, HOUR_MS

MINUTE_MS = 60_000


def run(clock: PartitionClock, *ticks: tuple[int, int | None]) -> PartitionClock:
    """Ticks of (append time, last event); the sender's clock agrees with the broker's."""
    for append, last in ticks:
        clock = advance(clock, append_ms=append, sent_at_ms=append, last_event_at_ms=last)
    return clock


def test_first_tick_sets_the_clock() -> None:
    """Before it nothing can be decided; it is no hole; without events silence is counted from it."""
    assert PartitionClock().holding
    clock = run(PartitionClock(), (1_000, None))
    assert (clock.clock_ms, clock.last_event_at_ms, clock.holes, clock.holding) == (1_000, 1_000, (), False)


def test_clock_never_goes_back() -> None:
    """A tick from the past changes nothing."""
    clock = run(PartitionClock(), (10_000, 9_000), (4_000, 1_000))
    assert (clock.clock_ms, clock.last_event_at_ms) == (10_000, 9_000)


def test_one_wrong_clock_cannot_throw_time_forward() -> None:
    """The broker's time counts no further than five minutes past the sender's, and the sender's never past the
    broker's."""
    start = run(PartitionClock(), (0, 0))
    wrong_broker = advance(start, append_ms=30 * DAY_MS, sent_at_ms=10_000, last_event_at_ms=0)
    assert wrong_broker.clock_ms == 10_000 + 5 * MINUTE_MS
    wrong_sender = advance(start, append_ms=10_000, sent_at_ms=30 * DAY_MS, last_event_at_ms=0)
    assert wrong_sender.clock_ms == 10_000


@pytest.mark.parametrize("mended", [False, True])
def test_one_wrong_clock_hides_no_silence(*, mended: bool) -> None:
    """What a tick says of the newest event, by a clock that is days ahead, is how long ago that was; where the clock
    was set right since, it was by the tick at the latest."""
    lead, event_at = 30 * DAY_MS, 30 * DAY_MS - MINUTE_MS
    clock = advance(PartitionClock(), append_ms=0, sent_at_ms=lead, last_event_at_ms=event_at)
    assert clock.last_event_at_ms == -MINUTE_MS
    clock = advance(clock, append_ms=MINUTE_MS, sent_at_ms=MINUTE_MS + lead * (not mended), last_event_at_ms=event_at)
    assert clock.last_event_at_ms == (MINUTE_MS if mended else -MINUTE_MS)


@pytest.mark.parametrize(("step", "holes"), [(5 * MINUTE_MS, ()), (5 * MINUTE_MS + 1, ((0, 5 * MINUTE_MS + 1),))])
def test_long_step_is_a_hole(step: int, holes: tuple[tuple[int, int], ...]) -> None:
    """More than five minutes without a tick means that nothing was being accepted."""
    assert run(PartitionClock(), (0, 0), (step, step)).holes == holes


@pytest.mark.parametrize(("length", "hold"), [(HOUR_MS, 2 * HOUR_MS), (100 * HOUR_MS, 124 * HOUR_MS)])
def test_hold_follows_a_hole(length: int, hold: int) -> None:
    """Deadlines wait after a hole for as long as it lasted, a day at most."""
    clock = run(PartitionClock(), (0, 0), (length, length))
    assert clock.hold_until_ms == hold
    assert clock.holding
    steps = range(length + MINUTE_MS, hold + MINUTE_MS, MINUTE_MS)
    assert not run(clock, *((at, at) for at in steps)).holding


def test_silent_instrumentation_is_a_hole_until_events_return() -> None:
    """From 72 hours after the newest event until a tick that knows a newer one; ticks in between decide nothing."""
    minutes = [(at * MINUTE_MS, 0) for at in range(72 * 60 + 1)]
    before = run(PartitionClock(), *minutes)
    assert before.holes == ()
    silent = run(before, *((72 * HOUR_MS + at * MINUTE_MS, 0) for at in range(1, 121)))
    assert silent.holes == ((72 * HOUR_MS, 74 * HOUR_MS),)
    assert silent.holding
    back = run(silent, (74 * HOUR_MS + MINUTE_MS, 74 * HOUR_MS))
    assert back.holes == ((72 * HOUR_MS, 74 * HOUR_MS + MINUTE_MS),)
    assert back.hold_until_ms == 74 * HOUR_MS + MINUTE_MS + 2 * HOUR_MS + MINUTE_MS
    assert run(back, (75 * HOUR_MS - 56 * MINUTE_MS, 74 * HOUR_MS)).holes == back.holes


def test_more_holes_than_are_kept_bring_no_deadline_forward() -> None:
    """64 of them are kept; the oldest become one, as long as all of them together."""
    clock = PartitionClock()
    for number in range(70):
        for at in (number * HOUR_MS, number * HOUR_MS + MINUTE_MS):
            clock = run(clock, (at, at))
    assert len(clock.holes) == 64
    assert clock.holes[-1] == (68 * HOUR_MS + MINUTE_MS, 69 * HOUR_MS)
    assert all(end < start for (_, end), (start, _) in pairwise(clock.holes))
    every = tuple((at * HOUR_MS + MINUTE_MS, (at + 1) * HOUR_MS) for at in range(69))
    for length in (10 * MINUTE_MS, 60 * MINUTE_MS, 100 * MINUTE_MS):
        for start in (0, 3 * HOUR_MS, 68 * HOUR_MS):
            assert after(start, length, clock.holes) >= after(start, length, every)
    assert after(0, 100 * MINUTE_MS, clock.holes) == after(0, 100 * MINUTE_MS, every)


@pytest.mark.parametrize(
    ("start", "length", "holes", "end"),
    [
        (0, 100, (), 100),
        (0, 100, ((100, 150),), 100),
        (0, 100, ((99, 150),), 151),
        (0, 100, ((10, 20), (105, 205)), 210),
        (50, 100, ((0, 50),), 150),
        (50, 100, ((0, 60),), 160),
        (0, 0, ((0, 10),), 0),
    ],
)
def test_plan_time_skips_holes(start: int, length: int, holes: tuple[tuple[int, int], ...], end: int) -> None:
    """A deadline moves by what of a hole lies before it."""
    assert after(start, length, holes) == end
    assert between(start, end, holes) == length


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.lists(st.integers(0, 1000), unique=True, max_size=12).map(sorted),
)
def test_between_undoes_after(start: int, length: int, edges: list[int]) -> None:
    """However holes lie, plan time measured to a deadline is the length it was set with."""
    holes = list(zip(edges[::2], edges[1::2], strict=False))
    assert between(start, after(start, length, holes), holes) == length
