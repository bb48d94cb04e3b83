"""What the audit knows about time when it begins in the middle of a log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.activation_engine.domain.timers import PartitionClock, advance, with_holes

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

# Minutes from one tick to the next, whether an event came meanwhile, and whether the sender has begun anew since.
Steps = st.lists(
    st.tuples(st.sampled_from([1, 4, 6, 90, 2_000, 5_000]), st.booleans(), st.booleans()), min_size=2, max_size=40
)


def ticks(steps: list[tuple[int, bool, bool]]) -> list[tuple[int, int | None]]:
    """The time of each tick, and of the newest event before it that its sender knows of."""
    now, event = 1_000 * HOUR_MS, None
    told: list[tuple[int, int | None]] = []
    for minutes, came, anew in steps:
        event = now if came else None if anew else event
        now += minutes * MINUTE_MS
        told.append((now, event))
    return told


def after(clock: PartitionClock, tick: tuple[int, int | None]) -> PartitionClock:
    """The clock after one of them."""
    now, event = tick
    return advance(clock, append_ms=now, sent_at_ms=now, last_event_at_ms=event)


@given(steps=Steps, data=st.data())
def test_a_clock_that_begins_later_goes_like_the_one_that_saw_all(
    steps: list[tuple[int, bool, bool]], data: st.DataObject
) -> None:
    """With the holes as stored: the same holes and holds at every tick from then on, also where only earlier ticks told
    of the newest event."""
    told = ticks(steps)
    first = data.draw(st.integers(0, len(told) - 1))
    whole, known = PartitionClock(), []
    for tick in told:
        whole = after(whole, tick)
        known.append(whole)
    later = PartitionClock()
    for tick, expected in zip(told[first:], known[first:], strict=True):
        later = with_holes(after(later, tick), whole.holes)
        assert (later.clock_ms, later.holes, later.hold_until_ms) == (
            expected.clock_ms,
            expected.holes,
            expected.hold_until_ms,
        )
