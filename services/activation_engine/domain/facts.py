"""Facts about one account: a fold whose every field is a join, so order, repetition and replay change nothing."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.json import encode

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.domain.trackers import Tracker, TrackerStates

Scalar: TypeAlias = str | int | float | bool | None
# (timestamp in ms, message id, value): the newest wins, the message id breaks ties.
Dated: TypeAlias = tuple[int, str, Scalar]

MARK_PREFIX = "reached."
# Kept before any other trait when an account has more than the limit.
RESERVED_TRAITS = frozenset({"name", "segment", "owner", "contract_start", "renewal_at"})
TRAITS_MAX = 96
TRAIT_NAME_CHARS_MAX = 64
TRAIT_VALUE_CHARS_MAX = 255
# How far ahead of its arrival a record may date a milestone by hand; further is a promise, not a result.
_MARK_AHEAD_MS_MAX = 5 * 60_000
_INT64 = range(-(2**63), 2**63)


class Facts(Struct, array_like=True):
    """What is known. Times are milliseconds; `last_activity_ms` is rounded up to the plan set's step."""

    trackers: TrackerStates = {}
    traits: dict[str, Dated] = {}
    first_activity_ms: int | None = None
    last_activity_ms: int | None = None

    def trait(self, name: str) -> Scalar:
        """The current value, None when it is absent or null."""
        dated = self.traits.get(name)
        return None if dated is None else dated[2]

    def trait_values(self) -> dict[str, Scalar]:
        """All traits that have a value."""
        return {name: dated[2] for name, dated in self.traits.items() if dated[2] is not None}


def fold_activity(facts: Facts, at_ms: int, step_ms: int) -> tuple[bool, bool]:
    """Take in somebody's use of the product; whether the first, and whether the rounded last activity changed."""
    first = facts.first_activity_ms
    earlier = first is None or at_ms < first
    if earlier:
        facts.first_activity_ms = at_ms
    last = facts.last_activity_ms
    if last is not None and at_ms <= last:
        return earlier, False
    facts.last_activity_ms = -(-at_ms // step_ms) * step_ms
    return earlier, True


def fold_traits(facts: Facts, event: Event) -> bool:
    """Take in the `traits` of a group call or a `set` command; whether any stored trait changed."""
    changed = False
    for name, value in event.section("traits").items():
        if storable(name, value) and not _promised(name, value, event):
            changed |= _keep_newer(facts.traits, name, (event.occurred_at_ms, event.message_id, value))
    return changed and _cut(facts.traits)


def _promised(name: str, value: Any, event: Event) -> bool:
    """Whether it says that a milestone will have been reached at a time to come. Judged by the record alone, so that
    neither order nor repetition matters."""
    if not name.startswith(MARK_PREFIX):
        return False
    at = parse_instant(value)
    return at is not None and at > event.received_at_ms + _MARK_AHEAD_MS_MAX


def storable(name: str, value: Any) -> bool:
    """Whether a trait is kept: a short name, and null, a truth value, a number or a short text."""
    if not 0 < len(name) <= TRAIT_NAME_CHARS_MAX:
        return False
    if isinstance(value, str):
        return len(value) <= TRAIT_VALUE_CHARS_MAX
    if isinstance(value, int):
        return value in _INT64
    return value is None or isinstance(value, float)


def merge(mine: Facts, theirs: Facts, trackers: Iterable[Tracker]) -> None:
    """Join other facts about the same account into `mine`, as if their records had been folded here."""
    for tracker in trackers:
        other = theirs.trackers.get(tracker.id)
        if other is not None:
            known = mine.trackers.get(tracker.id)
            mine.trackers[tracker.id] = other if known is None else tracker.join(known, other)
    for name, dated in theirs.traits.items():
        _keep_newer(mine.traits, name, dated)
    _cut(mine.traits)
    mine.first_activity_ms = _least(mine.first_activity_ms, theirs.first_activity_ms)
    if theirs.last_activity_ms is not None:
        mine.last_activity_ms = max(mine.last_activity_ms or theirs.last_activity_ms, theirs.last_activity_ms)


def _least(mine: int | None, theirs: int | None) -> int | None:
    known = [at for at in (mine, theirs) if at is not None]
    return min(known) if known else None


def _keep_newer(traits: dict[str, Dated], name: str, dated: Dated) -> bool:
    known = traits.get(name)
    if known is not None and _rank(known) >= _rank(dated):
        return False
    traits[name] = dated
    return True


def _rank(dated: Dated) -> tuple[int, str, bytes]:
    # The value comes last so that two bodies under one id still have one winner.
    return dated[0], dated[1], encode(dated[2])


def _cut(traits: dict[str, Dated]) -> bool:
    """Drop what exceeds the limit by an order of names alone, which keeps the cut a join. Always true."""
    if len(traits) > TRAITS_MAX:
        for name in sorted(traits, key=lambda name: (not _reserved(name), name))[TRAITS_MAX:]:
            del traits[name]
    return True


def _reserved(name: str) -> bool:
    return name in RESERVED_TRAITS or name.startswith(MARK_PREFIX)
