"""Trackers: the stored facts for one leaf condition, each kind a join, so order and repetition change nothing."""

from hashlib import blake2b
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct
from msgspec.json import encode

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.predicates import Predicate, all_hold

# What a tracker keeps: a minimum timestamp, or a bounded map from an id to its minimum timestamp.
TrackerState: TypeAlias = int | dict[int, int]
TrackerStates: TypeAlias = dict[int, TrackerState]

# Changing the key would count every resent event a second time.
_ID64_KEY = b"firstvalue.message-id"


def id64(message_id: str) -> int:
    """A keyed 64-bit hash of a message id."""
    return int.from_bytes(blake2b(message_id.encode(), digest_size=8, key=_ID64_KEY).digest(), "big")


class Selector(Struct, frozen=True):
    """Which events a leaf is about: exact names as sent, name prefixes (`""` is every name), and tests of the
    properties."""

    names: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    where: tuple[Predicate, ...] = ()

    def accepts(self, event: Event) -> bool:
        """Whether the properties pass; the name was matched by the index."""
        return not self.where or all_hold(self.where, event.section("properties"))


class Tracker(Struct, frozen=True):
    """One kind of stored fact. A new kind is a subclass: its fold, its join, and how it reads."""

    kind: ClassVar[str]
    selector: Selector
    threshold: int
    id: int

    def fold(self, states: TrackerStates, event: Event) -> bool:
        """Take in an event whose name matches; whether the stored fact changed."""
        raise NotImplementedError

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


class FirstTracker(Tracker, frozen=True):
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

    def join(self, mine: int, theirs: int) -> int:
        """The earlier of two."""
        return min(mine, theirs)

    def reached_at(self, states: TrackerStates) -> int | None:
        """The first occurrence."""
        return states.get(self.id)  # type: ignore[return-value]

    def measured(self, states: TrackerStates) -> int:
        """1 once it happened."""
        return 1 if self.id in states else 0

    def state_bytes_max(self) -> int:
        """Key and timestamp, nine bytes each."""
        return 18


class CountTracker(Tracker, frozen=True):
    """The n-th distinct message: per message its smallest timestamp, cut to the n smallest (timestamp, id64)."""

    kind = "count"

    def fold(self, states: TrackerStates, event: Event) -> bool:
        """Keep the message when it is among the n earliest."""
        kept: dict[int, int] = states.get(self.id) or {}  # type: ignore[assignment]
        at = event.occurred_at_ms
        if len(kept) >= self.threshold and at > max(kept.values()):
            return False
        if self.selector.where and not self.selector.accepts(event):
            return False
        message = id64(event.message_id)
        if kept.get(message, at + 1) <= at:
            return False
        joined = self.join(kept, {message: at})
        if joined == kept:
            return False
        states[self.id] = joined
        return True

    def join(self, mine: dict[int, int], theirs: dict[int, int]) -> dict[int, int]:
        """The minimum per message, then the n smallest."""
        joined = dict(mine)
        for message, at in theirs.items():
            joined[message] = min(at, joined.get(message, at))
        if len(joined) <= self.threshold:
            return joined
        smallest = sorted(joined.items(), key=lambda item: (item[1], item[0]))
        return dict(smallest[: self.threshold])

    def reached_at(self, states: TrackerStates) -> int | None:
        """The n-th occurrence."""
        kept: dict[int, int] | None = states.get(self.id)  # type: ignore[assignment]
        return max(kept.values()) if kept and len(kept) >= self.threshold else None

    def measured(self, states: TrackerStates) -> int:
        """Distinct messages seen, up to n."""
        kept: dict[int, int] | None = states.get(self.id)  # type: ignore[assignment]
        return len(kept) if kept else 0

    def state_bytes_max(self) -> int:
        """Key, map head, and nine bytes for each id and each timestamp."""
        return 12 + 18 * self.threshold


def tracker(kind: type[Tracker], selector: Selector, threshold: int = 1) -> Tracker:
    """A tracker whose id is a hash of its content, so that equal leaves of all plans and versions share facts."""
    content = (kind.kind, sorted(selector.names), sorted(selector.prefixes), _sorted(selector.where), threshold)
    digest = blake2b(encode(content, order="deterministic"), digest_size=8).digest()
    return kind(selector=selector, threshold=threshold, id=int.from_bytes(digest, "big"))


def _sorted(where: tuple[Predicate, ...]) -> list[Predicate]:
    return sorted(where, key=lambda predicate: encode(predicate, order="deterministic"))
