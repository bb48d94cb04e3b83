"""Trackers: the stored facts for one leaf condition, each kind a join, so order and repetition change nothing."""

from functools import lru_cache
from hashlib import blake2b
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct
from msgspec.json import encode

from services.activation_engine.domain.event import USAGE_TYPES, Event
from services.activation_engine.domain.predicates import Predicate, all_hold

# What a tracker keeps: a minimum timestamp, or a bounded map from an id to its minimum timestamp.
TrackerState: TypeAlias = int | dict[int, int]
TrackerStates: TypeAlias = dict[int, TrackerState]

# Changing a key would count every resent event, or every person, a second time.
_ID64_KEY = b"firstvalue.message-id"
_PERSON_KEY = b"firstvalue.user-id"
_REMEMBERED_PEOPLE_MAX = 65_536


def id64(message_id: str) -> int:
    """A keyed 64-bit hash of a message id."""
    return int.from_bytes(blake2b(message_id.encode(), digest_size=8, key=_ID64_KEY).digest(), "big")


@lru_cache(maxsize=_REMEMBERED_PEOPLE_MAX)
def person64(user_id: str) -> int:
    """A keyed 64-bit hash of a user id, so that counted people are nobody's names and need no erasure."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8, key=_PERSON_KEY).digest(), "big")


class Selector(Struct, frozen=True):
    """Which events a leaf is about: exact names as sent, name prefixes (`""` is every name), and tests of the
    properties."""

    names: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    where: tuple[Predicate, ...] = ()

    def accepts(self, event: Event) -> bool:
        """Whether the properties pass; the name was matched by the index."""
        return not self.where or all_hold(self.where, event.section("properties"))

    def names_it(self, name: str) -> bool:
        """Whether an event of this name is meant."""
        return name in self.names or (bool(self.prefixes) and name.startswith(self.prefixes))

    @property
    def everything(self) -> bool:
        """Whether every event is meant, whatever its name."""
        return "" in self.prefixes


EVERY_EVENT = Selector((), ("",))
NO_EVENT = Selector(())


class Tracker(Struct, frozen=True):
    """One kind of stored fact. A new kind is a subclass: its fold, its join, and how it reads. `day_ms` is the length
    of a day where days are counted, otherwise 0; `excluded` are events that are no activity where activity is."""

    kind: ClassVar[str]
    selector: Selector
    threshold: int
    id: int
    day_ms: int = 0
    excluded: Selector = NO_EVENT

    def fold(self, states: TrackerStates, event: Event) -> bool:
        """Take in an event whose name matches; whether the stored fact changed."""
        raise NotImplementedError

    def deaf_after(self, states: TrackerStates, event: Event) -> int | None:
        """The instant after which no use like this one, of a name that matches too, by the same person on the same day,
        changes the stored fact; None while one may."""
        return None

    def join(self, mine: Any, theirs: Any) -> TrackerState:
        """The least state that holds both."""
        raise NotImplementedError

    def reached_at(self, states: TrackerStates) -> int | None:
        """When the condition became true, in milliseconds."""
        raise NotImplementedError

    def measured(self, states: TrackerStates) -> int:
        """How far towards `threshold`."""
        raise NotImplementedError

    def state_bytes_max(self) -> int:
        """The largest encoding of its state, key included."""
        raise NotImplementedError


class MomentTracker(Tracker, frozen=True):
    """One timestamp, the first or the newest."""

    def reached_at(self, states: TrackerStates) -> int | None:
        """The timestamp, once there is one."""
        return states.get(self.id)  # type: ignore[return-value]

    def measured(self, states: TrackerStates) -> int:
        """1 once it happened."""
        return 1 if self.id in states else 0

    def state_bytes_max(self) -> int:
        """Key and timestamp, nine bytes each."""
        return 18


class FirstTracker(MomentTracker, frozen=True):
    """The first occurrence: a minimum."""

    kind = "first"

    def fold(self, states: TrackerStates, event: Event) -> bool:
        """Lower the minimum when this one is earlier."""
        at = event.occurred_at_ms
        known = states.get(self.id)
        if known is not None and known <= at:  # type: ignore[operator]
            return False
        if self.selector.where and not self.selector.accepts(event):
            return False
        states[self.id] = at
        return True

    def deaf_after(self, states: TrackerStates, event: Event) -> int | None:
        """The minimum."""
        return self.reached_at(states)

    def join(self, mine: int, theirs: int) -> int:
        """The earlier of two."""
        return min(mine, theirs)


class LastTracker(MomentTracker, frozen=True):
    """The newest occurrence: a maximum. One side of an open loop; no milestone is reached by it."""

    kind = "last"

    def fold(self, states: TrackerStates, event: Event) -> bool:
        """Raise the maximum when this one is later."""
        at = event.occurred_at_ms
        known = states.get(self.id)
        if known is not None and known >= at:  # type: ignore[operator]
            return False
        if self.selector.where and not self.selector.accepts(event):
            return False
        states[self.id] = at
        return True

    def join(self, mine: int, theirs: int) -> int:
        """The later of two."""
        return max(mine, theirs)


class SmallestTracker(Tracker, frozen=True):
    """The n smallest of something: per key its smallest timestamp, cut to n entries by an order that is the kind's
    own. The n-th entry dates the condition. `recurs`: whether uses by the same person on the same day have one key."""

    recurs: ClassVar[bool] = True

    def key_of(self, event: Event) -> int | None:
        """What is counted; None when the event counts for nothing."""
        raise NotImplementedError

    def cut(self, joined: dict[int, int]) -> dict[int, int]:
        """The `threshold` smallest entries by (timestamp, key)."""
        smallest = sorted(joined.items(), key=lambda item: (item[1], item[0]))
        return dict(smallest[: self.threshold])

    def fold(self, states: TrackerStates, event: Event) -> bool:
        """Keep the event's key when it is among the n smallest."""
        kept: dict[int, int] = states.get(self.id) or {}  # type: ignore[assignment]
        at = event.occurred_at_ms
        if len(kept) >= self.threshold and at > max(kept.values()):
            return False
        key = self.key_of(event)
        if key is None or kept.get(key, at + 1) <= at:
            return False
        if self.selector.where and not self.selector.accepts(event):
            return False
        joined = self.join(kept, {key: at})
        if joined == kept:
            return False
        states[self.id] = joined
        return True

    def join(self, mine: dict[int, int], theirs: dict[int, int]) -> dict[int, int]:
        """The minimum per key, then the n smallest."""
        joined = dict(mine)
        for key, at in theirs.items():
            joined[key] = min(at, joined.get(key, at))
        return joined if len(joined) <= self.threshold else self.cut(joined)

    def deaf_after(self, states: TrackerStates, event: Event) -> int | None:
        """The greatest of n; what counts for nothing changes nothing from the beginning."""
        key = self.key_of(event)
        if key is None:
            return event.occurred_at_ms
        kept: dict[int, int] = states.get(self.id) or {}  # type: ignore[assignment]
        return kept[key] if self.recurs and key in kept else self.reached_at(states)

    def reached_at(self, states: TrackerStates) -> int | None:
        """The timestamp of the n-th."""
        kept: dict[int, int] | None = states.get(self.id)  # type: ignore[assignment]
        return max(kept.values()) if kept and len(kept) >= self.threshold else None

    def measured(self, states: TrackerStates) -> int:
        """Distinct keys seen, up to n."""
        kept: dict[int, int] | None = states.get(self.id)  # type: ignore[assignment]
        return len(kept) if kept else 0

    def state_bytes_max(self) -> int:
        """Key, map head, and nine bytes for each key and each timestamp."""
        return 12 + 18 * self.threshold

    def is_activity(self, event: Event) -> bool:
        """Whether it is use of the product by one of the account's people; the vendor's own count nowhere."""
        return bool(event.user_id) and event.type in USAGE_TYPES and not self.excluded.names_it(event.name or "")


class CountTracker(SmallestTracker, frozen=True):
    """The n-th distinct message."""

    kind = "count"
    recurs = False

    def key_of(self, event: Event) -> int | None:
        """The message, so that a resent one counts once."""
        return id64(event.message_id)


class PeopleTracker(SmallestTracker, frozen=True):
    """The n-th distinct person."""

    kind = "people"

    def key_of(self, event: Event) -> int | None:
        """The person; a note and an event without a person are nobody's."""
        return person64(event.user_id or "") if self.is_activity(event) else None


class DaysTracker(SmallestTracker, frozen=True):
    """The n-th distinct day: the n smallest day numbers since the epoch, each with its first timestamp."""

    kind = "days"

    def key_of(self, event: Event) -> int | None:
        """The day's number. Of a named event every occurrence counts, of all events only activity."""
        if self.selector.everything and not self.is_activity(event):
            return None
        return event.occurred_at_ms // self.day_ms


def tracker(
    kind: type[Tracker],
    selector: Selector,
    threshold: int = 1,
    *,
    day_ms: int = 0,
    excluded: Selector = NO_EVENT,
) -> Tracker:
    """A tracker whose id is a hash of its content, so that equal leaves of all plans and versions share facts."""
    content = (kind.kind, _content(selector), threshold, day_ms, _content(excluded))
    digest = blake2b(encode(content, order="deterministic"), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    return kind(selector=selector, threshold=threshold, id=number, day_ms=day_ms, excluded=excluded)


def _content(selector: Selector) -> tuple[list[str], list[str], list[Predicate]]:
    return sorted(selector.names), sorted(selector.prefixes), _sorted(selector.where)


def _sorted(where: tuple[Predicate, ...]) -> list[Predicate]:
    return sorted(where, key=lambda predicate: encode(predicate, order="deterministic"))
