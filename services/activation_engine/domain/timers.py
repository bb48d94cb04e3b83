"""The partition's clock, which only ticks move, the holes in it, and plan time, which stands still in holes."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

Hole: TypeAlias = tuple[int, int]

# A tick's append time counts no further than this past the time its sender wrote into it: one wrong broker clock
# cannot throw time forward.
SENDER_LEAD_MS_MAX = 5 * 60_000
# A longer step between ticks means that nothing was being accepted.
STEP_MS_MAX = 5 * 60_000
# Without any product event for longer than this, the instrumentation broke; nobody went quiet.
SILENCE_MS_MAX = 72 * 3_600_000
# After a hole deadlines wait as long as it lasted, at most this, so that what clients buffered comes first.
HOLD_MS_MAX = 24 * 3_600_000
HOLES_MAX = 64


class PartitionClock(Struct, frozen=True):
    """Stored with the partition's lease. `clock_ms` is None before the first tick; holes are sorted and apart."""

    clock_ms: int | None = None
    last_event_at_ms: int | None = None
    holes: tuple[Hole, ...] = ()
    hold_until_ms: int = 0

    @property
    def holding(self) -> bool:
        """Whether ticks decide nothing for now: no tick yet, or shortly after a hole."""
        return self.clock_ms is None or self.clock_ms < self.hold_until_ms


def advance(clock: PartitionClock, *, append_ms: int, sent_at_ms: int, last_event_at_ms: int | None) -> PartitionClock:
    """The clock after a tick: never backwards, holes found on the way added, the hold extended past their end."""
    now = min(append_ms, sent_at_ms + SENDER_LEAD_MS_MAX)
    if last_event_at_ms is not None:
        # By a sender's clock that is ahead only how long ago that was; and it was before the tick in any case.
        last_event_at_ms = min(now, last_event_at_ms - max(0, sent_at_ms - now))
    before = clock.clock_ms
    if before is None:
        newest = now if last_event_at_ms is None else last_event_at_ms
        return replace(clock, clock_ms=now, last_event_at_ms=newest)
    now = max(now, before)
    seen = before if clock.last_event_at_ms is None else clock.last_event_at_ms
    newest = seen if last_event_at_ms is None else max(seen, last_event_at_ms)
    moved = replace(clock, clock_ms=now, last_event_at_ms=newest)
    hole_from = _hole_start(before, now, seen)
    return moved if hole_from is None else _with_hole(moved, hole_from, now)


def with_holes(clock: PartitionClock, holes: Sequence[Hole]) -> PartitionClock:
    """The clock after a tick, as if it had found these holes itself, which are known from then or later."""
    now = clock.clock_ms or 0
    known = tuple((start, min(end, now)) for start, end in holes if start < now)
    hold_until_ms = max((end + min(end - start, HOLD_MS_MAX) for start, end in known), default=0)
    return replace(clock, holes=known, hold_until_ms=hold_until_ms)


def log_time(clock: PartitionClock, *, append_ms: int, received_ms: int) -> int:
    """The log's time at a record: its append, unless that is so long after its arrival that the broker's clock may be
    wrong. Then it is that of the last tick, as for a record that waited on its way."""
    latest = received_ms + SENDER_LEAD_MS_MAX
    return append_ms if append_ms <= latest else max(clock.clock_ms or 0, latest)


def _hole_start(before: int, now: int, seen: int) -> int | None:
    """Where in (before, now] observation stopped, judged by the newest event known until now."""
    if now - before > STEP_MS_MAX:
        return before
    silent_from = seen + SILENCE_MS_MAX
    return max(silent_from, before) if now > silent_from else None


def _with_hole(clock: PartitionClock, start: int, end: int) -> PartitionClock:
    holes = clock.holes
    if holes and start <= holes[-1][1]:
        start, holes = holes[-1][0], holes[:-1]
    hold = end + min(end - start, HOLD_MS_MAX)
    known = _within_limit((*holes, (start, end)))
    return replace(clock, holes=known, hold_until_ms=max(clock.hold_until_ms, hold))


def _within_limit(holes: tuple[Hole, ...]) -> tuple[Hole, ...]:
    """Of too many holes the oldest is joined to the next: were it dropped, every deadline behind it would come earlier,
    and could be missed at once."""
    if len(holes) <= HOLES_MAX:
        return holes
    (start, end), (next_start, next_end), *newer = holes
    return ((next_start - (end - start), next_end), *newer)


def after(start_ms: int, length_ms: int, holes: Sequence[Hole]) -> int:
    """The instant at which `length_ms` of plan time have passed since `start_ms`."""
    end = start_ms + length_ms
    for hole_start, hole_end in holes:
        if hole_start >= end:
            break
        if hole_end > start_ms:
            end += hole_end - max(hole_start, start_ms)
    return end


def between(start_ms: int, end_ms: int, holes: Sequence[Hole]) -> int:
    """Plan time from `start_ms` to `end_ms`: what lies in holes does not count. Negative when end is before start."""
    passed = end_ms - start_ms
    for hole_start, hole_end in holes:
        passed -= max(0, min(hole_end, end_ms) - max(hole_start, start_ms))
    return passed


def before(end_ms: int, length_ms: int, holes: Sequence[Hole]) -> int:
    """The instant from which `length_ms` of plan time have passed until `end_ms`."""
    start = end_ms - length_ms
    for hole_start, hole_end in reversed(holes):
        if hole_end <= start:
            break
        if hole_start < end_ms:
            start -= min(hole_end, end_ms) - hole_start
    return start
