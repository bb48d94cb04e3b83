"""Whether a risk or an opportunity holds at a tick: each of its parts, with the instant from which it held where that
is known, and the next instant at which time alone may change the answer."""

from collections.abc import Iterator

from msgspec import Struct

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.activity import PRESENT_DAYS, quiet_since
from services.activation_engine.domain.conditions import Condition
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.instants import in_days, parse_instant
from services.activation_engine.domain.people import was_active
from services.activation_engine.domain.status import Standing
from services.activation_engine.domain.timers import after, between
from services.activation_engine.domain.watches import Bounds, Watch, WatchState

# A fall in active days is judged against this many days before it, of which so many must have been active, and not
# sooner than so long after first value.
BASELINE_DAYS_MIN = 12
_JUDGED_AFTER_DAYS = 84


class View(Struct, frozen=True):
    """One account under one plan at a tick; `healthy_since_ms` as in PlanState."""

    standing: Standing
    state: AccountState
    clock_ms: int
    healthy_since_ms: int | None = None

    @property
    def facts(self) -> Facts:
        """What is known of the account."""
        return self.state.facts

    def reached_at(self, condition: Condition | None) -> int | None:
        """When a condition became true, or its newest event came; None while it did not."""
        if condition is None:
            return None
        return condition.reached_at(self.facts.trackers, self.standing.reached)

    def days(self, number: int) -> int:
        """So many plan days in milliseconds."""
        return number * self.standing.plan.day_ms


class Part(Struct, frozen=True):
    """One part of a watch: whether it holds, since when if that follows from the facts, when to look again, and what
    is measured against which threshold."""

    name: str
    holds: bool
    from_ms: int | None = None
    next_ms: int | None = None
    measured: float | int | str | None = None
    threshold: float | int | str | None = None


def parts(watch: Watch, known: WatchState, view: View) -> Iterator[Part]:
    """Every part that the watch has; the first one is what it is named after."""
    if watch.quiet:
        yield _quiet(watch, view)
    if watch.people is not None:
        yield _present("people", watch.people, [last for last, _ in view.standing.activity.people.values()], view)
    if watch.roles is not None:
        seen = [last for last in view.standing.activity.roles.values() if was_active(last)]
        yield _present("roles", watch.roles, seen, view)
    if watch.active_days_down is not None:
        yield _fall(watch.active_days_down, known, view)
    if watch.missing is not None:
        yield _missing(watch.missing, view)
    if watch.after is not None:
        yield _loop(watch, view)
    if watch.before is not None:
        yield _ahead(watch.before, watch.within_ms, view)
    if watch.healthy_ms is not None:
        yield _healthy(watch.healthy_ms, view)
    if watch.unless is not None:
        # It was false from the beginning, so it never dates what it belongs to.
        yield Part("unless", view.reached_at(watch.unless) is None, from_ms=0)


def _quiet(watch: Watch, view: View) -> Part:
    activity, plan = view.standing.activity, view.standing.plan
    last = quiet_since(activity, watch.quiet)
    if last is None or activity.first_ms is None:
        return Part("quiet", False)
    # Somebody who is known and never came is not quiet before the account's first activity.
    seen = max(last, activity.first_ms)
    at = after(seen, watch.for_ms, view.standing.still)
    holds = at <= view.clock_ms
    quiet = in_days(max(0, between(seen, view.clock_ms, view.standing.still)), plan.day_ms)
    return Part("quiet", holds, at, None if holds else at, quiet, in_days(watch.for_ms, plan.day_ms))


def _present(name: str, bounds: Bounds, last_seen: list[int], view: View) -> Part:
    ends = [after(last, view.days(PRESENT_DAYS), view.standing.still) for last in last_seen]
    present = [end for end in ends if end > view.clock_ms]
    threshold = bounds.least if bounds.below is None else bounds.below
    began = view.standing.activity.first_ms is not None
    return Part(name, began and bounds.hold(len(present)), None, min(present, default=None), len(present), threshold)


def _fall(share: float, known: WatchState, view: View) -> Part:
    """Active days in the last 28 complete days against the 28 before. What cannot be known, because a hole lies in
    either, opens nothing."""
    plan, standing = view.standing.plan, view.standing
    first_value = standing.reached.get(plan.first_value)
    if first_value is None:
        return Part("active_days", False)
    judged_from = after(first_value, view.days(_JUDGED_AFTER_DAYS), standing.still)
    if view.clock_ms < judged_from:
        return Part("active_days", False, None, judged_from)
    today = view.clock_ms // plan.day_ms
    recent = standing.activity.days_between(today - PRESENT_DAYS, today - 1, plan.day_ms)
    baseline, keep, days = known.baseline, 1 - share, 1
    if baseline is None:
        baseline = standing.activity.days_between(today - 2 * PRESENT_DAYS, today - PRESENT_DAYS - 1, plan.day_ms)
        seen_from = (today - 2 * PRESENT_DAYS) * plan.day_ms
        blind = any(end > seen_from and end - start >= plan.day_ms for start, end in standing.still)
        holds = baseline >= BASELINE_DAYS_MIN and not blind and recent <= baseline * keep
        if not holds:
            # A day takes at most one from the recent days and brings at most one to the baseline.
            days = max(1, BASELINE_DAYS_MIN - baseline, int((recent - baseline * keep) / (1 + keep)))
    else:
        holds = recent <= baseline * keep
    return Part("active_days", holds, None, (today + days) * plan.day_ms, recent, baseline)


def _missing(trait: str, view: View) -> Part:
    """From the account's start on, or since the value was taken back, which nobody can before the first record."""
    start, told = view.standing.start_ms, view.facts.traits.get(trait)
    if start is None or not view.standing.begun or (told is not None and told[2] is not None):
        return Part("missing", False)
    if told is None or told[0] <= view.state.enrolled_at_ms:
        return Part("missing", True, start)
    return Part("missing", True, max(start, told[0]))


def _loop(watch: Watch, view: View) -> Part:
    first_use = view.standing.activity.first_ms
    opened, closed = view.reached_at(watch.after), view.reached_at(watch.until)
    if first_use is None or opened is None or (closed is not None and opened <= closed):
        return Part("after", False)
    holds = opened <= view.clock_ms
    return Part("after", holds, max(opened, first_use), None if holds else opened)


def _ahead(trait: str, within_ms: int, view: View) -> Part:
    date, start = parse_instant(view.facts.trait(trait)), view.standing.start_ms
    if date is None or start is None or not view.standing.begun:
        return Part("before", False)
    near, day_ms = date - within_ms, view.standing.plan.day_ms
    nexts = near if view.clock_ms < near else date if view.clock_ms < date else None
    # Nobody could know of it before the account's start, or before the date was told.
    from_ms = max(near, start, view.facts.traits[trait][0])
    left, within = in_days(date - view.clock_ms, day_ms), in_days(within_ms, day_ms)
    return Part("before", near <= view.clock_ms < date, from_ms, nexts, left, within)


def _healthy(length_ms: int, view: View) -> Part:
    if view.healthy_since_ms is None:
        return Part("healthy", False)
    at = after(view.healthy_since_ms, length_ms, view.standing.still)
    holds = at <= view.clock_ms
    return Part("healthy", holds, None, None if holds else at)
