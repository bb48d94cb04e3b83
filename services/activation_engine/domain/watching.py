"""Deciding risks and opportunities at a tick: what opens, what closes, and when to look again."""

from msgspec import Struct

from services.activation_engine.domain.timers import after
from services.activation_engine.domain.truths import Part, View, parts
from services.activation_engine.domain.watches import Watch, WatchState

OPENED, CLOSED = "opened", "closed"
HELD, MISSED = "held", "missed"
# An opportunity is one only in an account that is in use.
IN_USE_DAYS = 14


class Happening(Struct, frozen=True):
    """A watch that opened or closed: since `at_ms`, the instant of its opening, which names the episode. `part` is
    what was measured; `outcome` is that of an opportunity that closed."""

    watch: Watch
    what: str
    at_ms: int
    part: Part | None = None
    outcome: str | None = None


class Look(Struct, frozen=True):
    """What a tick finds about one watch: the state to keep, what happened, when time may change something, and whether
    any further use of the product may."""

    state: WatchState
    happened: Happening | None = None
    next_ms: int | None = None
    waits_for_use: bool = False


def look(watch: Watch, known: WatchState, view: View) -> Look:
    """Decide one watch."""
    found = list(parts(watch, known, view))
    holds = all(one.holds for one in found)
    if known.opened_at_ms is not None:
        return _look_at_open(watch, known, view, found, holds=holds)
    if not holds:
        return Look(WatchState(), None, _next(watch, known, view, found))
    if known.spent and not _interrupted(watch, known, view):
        return Look(known, None, _next(watch, known, view, found), bool(watch.quiet))
    since = _since(watch, known, view, found)
    # Of quiet people `for` is the length of their quiet, so it is not waited for twice.
    opens_at = since if watch.quiet else after(since, watch.for_ms, view.standing.still)
    unused = watch.opportunity and not _is_in_use(view)
    if opens_at > view.clock_ms or unused:
        soonest = _soonest(view, [opens_at, *(one.next_ms for one in found)])
        return Look(WatchState(since_ms=since), None, soonest, unused)
    if watch.open_ms is not None and after(opens_at, watch.open_ms, view.standing.still) <= view.clock_ms:
        return Look(WatchState(since_ms=since, spent=True), None, _next(watch, known, view, found), bool(watch.quiet))
    baseline = next((int(one.threshold or 0) for one in found if one.name == "active_days"), None)
    opened = WatchState(since_ms=since, opened_at_ms=opens_at, baseline=baseline)
    happening = Happening(watch, OPENED, opens_at, found[0])
    return Look(opened, happening, _next(watch, opened, view, found), bool(watch.quiet))


def hear(watch: Watch, known: WatchState, view: View) -> WatchState:
    """What to keep, after a record, of a watch that the facts date. A trait has the time of its newest telling alone,
    so since when the watch holds is noted before that is told again."""
    if known.opened_at_ms is not None or known.spent:
        return known
    found = list(parts(watch, known, view))
    if not all(one.holds for one in found):
        return WatchState()
    if any(one.from_ms is None for one in found):
        return known
    return WatchState(since_ms=_since(watch, known, view, found))


def _look_at_open(watch: Watch, known: WatchState, view: View, found: list[Part], *, holds: bool) -> Look:
    outcome = _ending(watch, known, view, found, holds=holds)
    if outcome is None:
        return Look(known, None, _next(watch, known, view, found), bool(watch.quiet))
    assert known.opened_at_ms is not None
    closed = Happening(watch, CLOSED, known.opened_at_ms, found[0], outcome or None)
    if holds and _interrupted(watch, known, view):
        # What opens it anew has happened already, and the next tick looks at that.
        return Look(WatchState(), closed, view.clock_ms + 1, bool(watch.quiet))
    state = WatchState(since_ms=known.since_ms, spent=True) if holds and watch.opportunity else WatchState()
    return Look(state, closed, _next(watch, state, view, found), bool(watch.quiet))


def _since(watch: Watch, known: WatchState, view: View, found: list[Part]) -> int:
    """Since when all parts hold together, unbroken as far as ticks saw: by the facts, or where these do not date a part
    by the clock of the first tick that saw it. Neither what happens again in an open loop begins `for` anew, nor what
    is told again of a trait; without `for` a loop is dated by its newest X."""
    dated = max((one.from_ms for one in found if one.from_ms is not None), default=0)
    undated = any(one.from_ms is None for one in found)
    if known.since_ms is None or _interrupted(watch, known, view):
        return view.clock_ms if undated else dated
    if undated:
        return known.since_ms
    if watch.of_trait:
        # By the start of now, which may have been corrected.
        return max(view.standing.start_ms or 0, min(known.since_ms, dated))
    return min(known.since_ms, dated) if watch.for_ms else dated


def _interrupted(watch: Watch, known: WatchState, view: View) -> bool:
    """Whether a loop was closed since it was first seen open, be it open again by now."""
    if watch.after is None or known.since_ms is None:
        return False
    closed = view.reached_at(watch.until)
    return closed is not None and closed >= known.since_ms


def _ending(watch: Watch, known: WatchState, view: View, found: list[Part], *, holds: bool) -> str | None:
    """The outcome with which an open watch ends at this tick, "" for a risk; None while it stays open."""
    if not watch.opportunity:
        return None if holds and not _interrupted(watch, known, view) else ""
    assert known.opened_at_ms is not None
    if _was_held(watch, known, view, found):
        return HELD
    if watch.open_ms is not None and after(known.opened_at_ms, watch.open_ms, view.standing.still) <= view.clock_ms:
        return MISSED
    return None


def _was_held(watch: Watch, known: WatchState, view: View, found: list[Part]) -> bool:
    """Whether what an opportunity waits for has happened: its `until`, otherwise the quiet people came back, or what
    made it unnecessary."""
    if watch.until is None:
        return any(not one.holds for one in found if one.name in ("quiet", "unless"))
    happened, opening = view.reached_at(watch.until), view.reached_at(watch.after)
    if happened is None:
        return False
    return _interrupted(watch, known, view) or happened >= (known.opened_at_ms or 0 if opening is None else opening)


def _is_in_use(view: View) -> bool:
    """Whether somebody was active in the last 14 plan days."""
    last = view.standing.activity.last_ms
    return last is not None and after(last, view.days(IN_USE_DAYS), view.standing.still) > view.clock_ms


def _next(watch: Watch, state: WatchState, view: View, found: list[Part]) -> int | None:
    """When time alone may change a watch: one of its parts, or the end of an open opportunity."""
    ends = [one.next_ms for one in found]
    if state.opened_at_ms is not None and watch.open_ms is not None:
        ends.append(after(state.opened_at_ms, watch.open_ms, view.standing.still))
    return _soonest(view, ends)


def _soonest(view: View, instants: list[int | None]) -> int | None:
    return min((at for at in instants if at is not None and at > view.clock_ms), default=None)
