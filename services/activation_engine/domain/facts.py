"""Facts about one account: a fold whose every field is a join, so order, repetition and replay change nothing."""

from collections.abc import Container, Iterable
from typing import Any, TypeAlias

from msgspec import Struct, field

from services.activation_engine.domain.activity import Activity, ActivityRule, copy_of, forget_person, join_activity
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.domain.orders import Orders, erase_person, join_orders
from services.activation_engine.domain.registers import Dated, Scalar, keep_newer
from services.activation_engine.domain.trackers import Tracker, TrackerStates, person64

MARK_PREFIX, WAIVE_PREFIX = "reached.", "waived."
# Kept before marks and waivers, and these before any other trait, when an account has more than the limit.
RESERVED_TRAITS = frozenset({"name", "segment", "owner", "contract_start", "renewal_at"})
TRAITS_MAX = 96
TRAIT_NAME_CHARS_MAX = 80
TRAIT_VALUE_CHARS_MAX = 255
# How far ahead of its arrival a record may date a milestone by hand; further is a promise, not a result.
MARK_AHEAD_MS_MAX = 5 * 60_000
_INT64 = range(-(2**63), 2**63)

# The earliest word for a waiver and the newest against it, in milliseconds; None for never.
Waiver: TypeAlias = tuple[int | None, int | None]
_NO_WAIVER: Waiver = (None, None)


class Facts(Struct, array_like=True, gc=False):
    """What is known: tracker states by tracker id, traits, activity by the rules of the live plans, orders, and since
    when milestones are waived, by the trait."""

    trackers: TrackerStates = {}
    traits: dict[str, Dated] = {}
    activity: dict[int, Activity] = {}
    orders: Orders = field(default_factory=Orders)
    waivers: dict[str, Waiver] = {}

    def trait(self, name: str) -> Scalar:
        """The current value, None when it is absent or null."""
        dated = self.traits.get(name)
        return None if dated is None else dated[2]

    def trait_values(self) -> dict[str, Scalar]:
        """All traits that have a value."""
        return {name: dated[2] for name, dated in self.traits.items() if dated[2] is not None}

    def waived(self) -> frozenset[str]:
        """The milestones that this account need not reach."""
        prefix = len(WAIVE_PREFIX)
        return frozenset(
            name[prefix:] for name, dated in self.traits.items() if name[:prefix] == WAIVE_PREFIX and dated[2]
        )

    def waived_at(self, milestone: str, *, by_ms: int | None = None) -> int:
        """Since when a milestone is waived: from the first word on, however often a program repeats it. Where it was
        taken back in between, a fold cannot keep which was the first since then: from the newest, or from `by_ms`, by
        when it is known to have been waived."""
        name = WAIVE_PREFIX + milestone
        first, withdrawn = self.waivers.get(name, _NO_WAIVER)
        if first is None or (withdrawn is not None and first <= withdrawn):
            newest = self.traits[name][0]
            return newest if by_ms is None else min(newest, by_ms)
        return first


def fold_traits(facts: Facts, event: Event) -> bool:
    """Take in the `traits` of a group call or a `set` command; whether any stored trait changed."""
    told = event.section("traits").items()
    newer = [name for name, value in told if storable(name, value) and _take(facts, event, name, value)]
    _cut(facts)
    return any(name in facts.traits for name in newer)


def set_trait(facts: Facts, event: Event, name: str, value: Scalar) -> bool:
    """Take in one trait that a command stands for; whether it changed."""
    newer = _take(facts, event, name, value)
    _cut(facts)
    return newer and name in facts.traits


def _take(facts: Facts, event: Event, name: str, value: Scalar) -> bool:
    if _promised(name, value, event):
        return False
    at = event.occurred_at_ms
    changed = keep_newer(facts.traits, name, (at, event.message_id, value))
    if name.startswith(WAIVE_PREFIX):
        changed |= _join_waiver(facts.waivers, name, (at, None) if value else (None, at))
    return changed


def _join_waiver(waivers: dict[str, Waiver], name: str, other: Waiver) -> bool:
    """Whether that changed it."""
    known = waivers.get(name, _NO_WAIVER)
    first, withdrawn = ([at for at in pair if at is not None] for pair in zip(known, other, strict=True))
    waivers[name] = min(first, default=None), max(withdrawn, default=None)
    return waivers[name] != known


def _promised(name: str, value: Any, event: Event) -> bool:
    """Whether it says that a milestone will have been reached at a time to come. Judged by the record alone, so that
    neither order nor repetition matters."""
    if not name.startswith(MARK_PREFIX):
        return False
    at = parse_instant(value)
    return at is not None and at > event.received_at_ms + MARK_AHEAD_MS_MAX


def storable(name: str, value: Any) -> bool:
    """Whether a trait is kept: a short name, and null, a truth value, a number or a short text."""
    if not 0 < len(name) <= TRAIT_NAME_CHARS_MAX:
        return False
    if isinstance(value, str):
        return len(value) <= TRAIT_VALUE_CHARS_MAX
    if isinstance(value, int):
        return value in _INT64
    return value is None or isinstance(value, float)


def forget(facts: Facts, user_id: str, at_ms: int) -> bool:
    """Erase a person's id: what they did goes on to count under a pseudonym. Whether that changed anything."""
    changed = erase_person(facts.orders, user_id, at_ms)
    for activity in facts.activity.values():
        changed |= forget_person(activity, user_id)
    return changed


def retain(facts: Facts, trackers: Container[int], rules: Iterable[ActivityRule]) -> bool:
    """Keep only what live plans ask for, and begin what is new: a new tracker counts from now on, a new rule of
    activity goes on from what was activity by the rules before. Whether that changed anything."""
    surplus = [one for one in facts.trackers if one not in trackers]
    for one in surplus:
        del facts.trackers[one]
    wanted = {rule.id for rule in rules}
    if wanted == facts.activity.keys() or not facts.activity:
        return bool(surplus)
    before = Activity()
    for rule in sorted(facts.activity):
        join_activity(before, facts.activity[rule])
    facts.activity = {rule: facts.activity.get(rule) or copy_of(before) for rule in sorted(wanted)}
    return True


def merge(mine: Facts, theirs: Facts, trackers: Iterable[Tracker]) -> None:
    """Join other facts about the same account into `mine`, as if their records had been folded here."""
    for tracker in trackers:
        other = theirs.trackers.get(tracker.id)
        if other is not None:
            known = mine.trackers.get(tracker.id)
            mine.trackers[tracker.id] = other if known is None else tracker.join(known, other)
    for name, dated in theirs.traits.items():
        keep_newer(mine.traits, name, dated)
    for name, waiver in theirs.waivers.items():
        _join_waiver(mine.waivers, name, waiver)
    _cut(mine)
    for rule, activity in theirs.activity.items():
        join_activity(mine.activity.setdefault(rule, Activity()), activity)
    join_orders(mine.orders, theirs.orders)
    if mine.orders.erased:
        for activity in mine.activity.values():
            for person in [one for one in activity.people if person64(one) in mine.orders.erased]:
                forget_person(activity, person)


def _cut(facts: Facts) -> None:
    """Drop what exceeds the limit by an order of names alone, which keeps the cut a join."""
    if len(facts.traits) > TRAITS_MAX:
        for name in sorted(facts.traits, key=_place)[TRAITS_MAX:]:
            del facts.traits[name]
            facts.waivers.pop(name, None)


def _place(name: str) -> tuple[bool, bool, str]:
    return name not in RESERVED_TRAITS, not name.startswith((MARK_PREFIX, WAIVE_PREFIX)), name
