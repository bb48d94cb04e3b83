"""The plan versions that are live on a partition, compiled into one index from event name to trackers."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from services.activation_engine.domain.activity import PRESENT_DAYS, Activity, ActivityRule, know_person
from services.activation_engine.domain.activity_fold import Fold, fold_activity
from services.activation_engine.domain.commands import apply_command
from services.activation_engine.domain.event import USAGE_TYPES, Event
from services.activation_engine.domain.facts import Facts, fold_traits
from services.activation_engine.domain.instants import DAY_MS
from services.activation_engine.domain.orders import MOVE
from services.activation_engine.domain.people import pseudonym
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.trackers import Tracker, person64

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


class Change(NamedTuple):
    """What a record changed: the plans to decide again; whether somebody or something new has to be looked at by the
    next tick, beyond a later last activity."""

    settle: tuple[LivePlan, ...] = ()
    news: bool = False


_MOVED = Change()


class PlanSet:
    """Immutable: a version that goes live or is retired makes a new set."""

    __slots__ = (
        "_by_name",
        "_counting_days",
        "_excluding",
        "_ids",
        "_partial",
        "_prefixed",
        "_remembered",
        "_users",
        "_watched",
        "fold_by",
        "live",
        "rules",
        "trackers",
    )

    def __init__(self, live: tuple[LivePlan, ...]) -> None:
        self.live = live
        self._ids = frozenset(one.plan.id for one in live)
        self.trackers: dict[int, Tracker] = {}
        self._users: dict[int, tuple[LivePlan, ...]] = {}
        self._by_name: dict[str, tuple[Tracker, ...]] = {}
        self._remembered: dict[str, tuple[Tracker, ...]] = {}
        plans = [one.plan for one in live]
        self.rules = tuple({one.activity.id: one.activity for one in plans}.values()) or (ActivityRule(),)
        self._excluding = any(rule.id for rule in self.rules)
        self.fold_by = _fold_by(plans)
        watches = [watch for one in plans for watch in one.watches]
        self._counting_days = any(one.active_days_down is not None for one in watches)
        conditions = [condition for one in watches for condition in one.conditions()]
        self._watched = {leaf.tracker.id for condition in conditions for leaf in condition.leaves()}
        for one in live:
            for leaf in one.plan.leaves():
                tracker = self.trackers.setdefault(leaf.tracker.id, leaf.tracker)
                users = self._users.get(tracker.id, ())
                self._users[tracker.id] = users if one in users else (*users, one)
        self._prefixed = tuple(one for one in self.trackers.values() if one.selector.prefixes)
        # Whether beginnings of names count, so that any name may differ from any other.
        self._partial = self._excluding or any(one.selector.prefixes != ("",) for one in self._prefixed)
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

    @property
    def activity_step_ms(self) -> int:
        """The step to which times of activity are rounded up."""
        return self.fold_by.step_ms

    def has(self, plan_id: str) -> bool:
        """Whether a version of this plan is live."""
        return plan_id in self._ids

    def covers(self, plan: Plan, facts: Facts) -> bool:
        """Whether the account runs under this plan: the one it was moved to, if that is live, otherwise all whose
        `applies_to` matches."""
        moved_to = facts.orders.ordered(MOVE)
        if isinstance(moved_to, str) and self.has(moved_to):
            return plan.id == moved_to
        return plan.covers(facts)

    def _match(self, name: str) -> tuple[Tracker, ...]:
        matched = (one for one in self.trackers.values() if one.selector.names_it(name))
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
        if event.type in ("group", "command"):
            return True
        return not event.staff and any(one.selector.where for one in self.wanting(event.name or ""))

    def fold(self, facts: Facts, event: Event) -> Change | None:
        """Take one record into the facts; None when nothing changed. Raises InvalidBody, with nothing changed, when a
        needed body is unreadable."""
        if event.type in USAGE_TYPES:
            return None if event.staff else self._fold_usage(facts, event)
        if event.type == "identify":
            return None if event.staff else self._fold_told(facts, event)
        if event.type == "command" and event.name == "note":
            return self.fold_trackers(facts, replace(event, type="note", name=event.text("event")))
        changed = event.type == "group" and fold_traits(facts, event)
        changed = changed or (event.type == "command" and apply_command(facts, event))
        return Change(self.live, news=True) if changed else None

    def fold_trackers(self, facts: Facts, event: Event) -> Change | None:
        """Take an event into the trackers alone: what is no use, and a use whose person and time are known."""
        changed: Change | None = None
        for tracker in self.wanting(event.name or ""):
            if tracker.fold(facts.trackers, event):
                known = changed or _MOVED
                fresh = tuple(one for one in self._users[tracker.id] if one not in known.settle)
                changed = Change(known.settle + fresh, known.news or tracker.id in self._watched)
        return changed

    def _fold_usage(self, facts: Facts, event: Event) -> Change | None:
        changed = self.fold_trackers(facts, event)
        if not event.user_id:
            return changed
        person = event.user_id
        if facts.orders.erased:
            person = _counted_as(facts, person)
        for rule in self._counting(event.name or ""):
            changed = self._fold_activity(facts, rule, event, person, changed)
        return changed

    def deaf_after(self, facts: Facts, event: Event) -> int | None:
        """The instant after which uses of the same kind as this one, which changed nothing, change nothing either; None
        while one may. Of one kind are uses by one person in one role, in the same stretch of time, of names that are
        not told apart."""
        latest = event.occurred_at_ms
        for tracker in self.wanting(event.name or ""):
            after = tracker.deaf_after(facts.trackers, event)
            if after is None:
                return None
            latest = max(latest, after)
        return latest

    def told_apart(self, event_name: str) -> str:
        """The name, or nothing for the many that no plan asks for in particular."""
        return event_name if self._partial or event_name in self._by_name else ""

    def _counting(self, name: str) -> tuple[ActivityRule, ...]:
        """The rules by which an event of this name is activity."""
        if not self._excluding:
            return self.rules
        return tuple(rule for rule in self.rules if not rule.excluded.names_it(name))

    def _fold_activity(
        self, facts: Facts, rule: ActivityRule, event: Event, person: str, changed: Change | None
    ) -> Change | None:
        activity = facts.activity.get(rule.id)
        if activity is None:
            # By every rule at once: a rule without any is one that went live later, and goes on from the others.
            facts.activity = {one.id: facts.activity.get(one.id) or Activity() for one in self.rules}
            activity = facts.activity[rule.id]
        first, seen = activity.first_ms, activity.people.get(person)
        in_role = 0 if event.role is None else activity.roles.get(event.role, 0)
        if not fold_activity(activity, event, person, self.fold_by):
            return changed
        if activity.first_ms != first:
            return Change(self.live, news=True)
        # Somebody who is new, or comes back after having been away for so long that nobody counted on them; or a day
        # that is over, for what counts days looks at each new day in any case.
        at, appended = event.occurred_at_ms, event.appended_at_ms
        back = max(at, appended) - self.fold_by.present_ms
        news = seen is None or seen[0] < back or (event.role is not None and in_role < back)
        news = news or (self._counting_days and self.fold_by.earlier_day(at, appended))
        known = changed or _MOVED
        return Change(known.settle, news or known.news)

    def _fold_told(self, facts: Facts, event: Event) -> Change | None:
        """What is told about a person: who that is, and what software did by itself meanwhile, if that has a name."""
        changed = self.fold_trackers(facts, event) if event.name else None
        if event.role is None:
            return changed
        person, at = _counted_as(facts, event.user_id) if event.user_id else None, event.occurred_at_ms
        known = [
            know_person(facts.activity.setdefault(rule.id, Activity()), person, event.role, at) for rule in self.rules
        ]
        if not any(known):
            return changed
        return Change(news=True) if changed is None else changed._replace(news=True)


def _counted_as(facts: Facts, user_id: str) -> str:
    """The name under which what a person does counts."""
    return pseudonym(user_id) if person64(user_id) in facts.orders.erased else user_id


def _fold_by(plans: list[Plan]) -> Fold:
    quiets = [quiet for one in plans for quiet in one.quiet_limits()]
    lengths = tuple(sorted({one.day_ms for one in plans})) or (DAY_MS,)
    step = max(1, min([DAY_MS, *(quiet // _QUIET_STEPS for quiet in quiets)]))
    return Fold(step, lengths, PRESENT_DAYS * lengths[0])
