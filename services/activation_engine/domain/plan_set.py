"""The plan versions that are live on a partition, compiled into one index from event name to trackers."""

from collections.abc import Iterable
from typing import Literal, Self, TypeAlias

from msgspec import Struct

from services.activation_engine.domain.event import USAGE_TYPES, Event
from services.activation_engine.domain.facts import Facts, fold_activity, fold_traits
from services.activation_engine.domain.instants import DAY_MS
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.trackers import Tracker

LIVE_PLANS_MAX = 200
# Last activity is kept this much finer than the shortest limit on quiet, at least daily.
_QUIET_STEPS = 64
# Names that were matched against prefixes and are remembered.
_REMEMBERED_NAMES_MAX = 10_000

Policy: TypeAlias = Literal["silent", "emit"]


class LivePlan(Struct, frozen=True, eq=False):
    """A plan version on one partition. `live_from_ms` is the partition's log time when it went live there; `policy`
    says whether milestones that old accounts had reached by then are announced."""

    plan: Plan
    version: int
    live_from_ms: int = 0
    policy: Policy = "silent"


class PlanSet:
    """Immutable: a version that goes live or is retired makes a new set."""

    __slots__ = ("_by_name", "_prefixed", "_remembered", "_users", "activity_step_ms", "live", "trackers")

    def __init__(self, live: tuple[LivePlan, ...]) -> None:
        self.live = live
        self.trackers: dict[int, Tracker] = {}
        self._users: dict[int, tuple[LivePlan, ...]] = {}
        self._by_name: dict[str, tuple[Tracker, ...]] = {}
        self._remembered: dict[str, tuple[Tracker, ...]] = {}
        quiets = [one.plan.quiet_ms for one in live if one.plan.quiet_ms is not None]
        self.activity_step_ms = max(1, min([DAY_MS, *(quiet // _QUIET_STEPS for quiet in quiets)]))
        for one in live:
            for leaf in one.plan.leaves():
                tracker = self.trackers.setdefault(leaf.tracker.id, leaf.tracker)
                users = self._users.get(tracker.id, ())
                self._users[tracker.id] = users if one in users else (*users, one)
        self._prefixed = tuple(one for one in self.trackers.values() if one.selector.prefixes)
        names = {name for one in self.trackers.values() for name in one.selector.names}
        self._by_name = {name: self._match(name) for name in names}

    @classmethod
    def of(cls, live: Iterable[LivePlan]) -> Self:
        """The set of these versions, at most one per plan. Raises ValueError beyond 200 plans or on a repeated plan."""
        ordered = tuple(sorted(live, key=lambda one: one.plan.id))
        if len(ordered) > LIVE_PLANS_MAX:
            raise ValueError(f"{len(ordered)} live plans; at most {LIVE_PLANS_MAX} can be live: retire some")
        if len({one.plan.id for one in ordered}) < len(ordered):
            raise ValueError("a plan can have one live version only")
        return cls(ordered)

    @property
    def event_names(self) -> frozenset[str]:
        """The names, as sent, that live plans ask for exactly."""
        return frozenset(self._by_name)

    def _match(self, name: str) -> tuple[Tracker, ...]:
        matched = (one for one in self.trackers.values() if _selects(one, name))
        # Those with `where` come first: they alone can find the body unreadable, and then nothing is changed yet.
        return tuple(sorted(matched, key=lambda one: (not one.selector.where, one.id)))

    def wanting(self, name: str) -> tuple[Tracker, ...]:
        """The trackers that an event of this name may change."""
        exact = self._by_name.get(name)
        if exact is not None or not self._prefixed:
            return exact or ()
        found = self._remembered.get(name)
        if found is None:
            found = self._match(name)
            if len(self._remembered) < _REMEMBERED_NAMES_MAX:
                self._remembered[name] = found
        return found

    def needs_body(self, event: Event) -> bool:
        """Whether folding the record may read its body."""
        if event.type in USAGE_TYPES:
            return not event.staff and any(one.selector.where for one in self.wanting(event.name or ""))
        return _sets_traits(event)

    def fold(self, facts: Facts, event: Event) -> tuple[LivePlan, ...] | None:
        """Take one record into the facts. Returns the plans to decide again, () when only the last activity moved,
        and None when nothing changed. Raises InvalidBody, with nothing changed, when a needed body is unreadable."""
        if event.type in USAGE_TYPES:
            return None if event.staff else self._fold_usage(facts, event)
        if _sets_traits(event):
            return self.live if fold_traits(facts, event) else None
        return None

    def _fold_usage(self, facts: Facts, event: Event) -> tuple[LivePlan, ...] | None:
        changed: tuple[LivePlan, ...] | None = None
        for tracker in self.wanting(event.name or ""):
            if tracker.fold(facts.trackers, event):
                users = self._users[tracker.id]
                changed = users if not changed else changed + tuple(one for one in users if one not in changed)
        if not event.user_id:
            return changed
        at = event.occurred_at_ms
        last, first = facts.last_activity_ms, facts.first_activity_ms
        if last is not None and first is not None and first <= at <= last:
            return changed
        earlier, later = fold_activity(facts, at, self.activity_step_ms)
        if earlier:
            return self.live
        return () if later and changed is None else changed


def _sets_traits(event: Event) -> bool:
    return event.type == "group" or (event.type == "command" and event.name == "set")


def _selects(tracker: Tracker, name: str) -> bool:
    selector = tracker.selector
    return name in selector.names or any(name.startswith(prefix) for prefix in selector.prefixes)
