"""Uses of the product that are known to change nothing, because one like them changed nothing before.

Most events are such. One look-up for each is much cheaper than a comparison with what is known of its account, some
twenty objects that lie anywhere in memory."""

from services.activation_engine.domain.event import USAGE_TYPES, Event
from services.activation_engine.domain.facts import Facts
from services.activation_engine.domain.plan_set import PlanSet


class Repeats:
    """What is known of the newest stretch of time in which uses of one kind count as one. It stays true, since facts
    only grow, until an account or a person is erased or other plans are live."""

    __slots__ = ("_after_ms", "_from_ms", "_plans", "_to_ms")

    def __init__(self) -> None:
        self._plans: PlanSet | None = None
        self._from_ms = self._to_ms = 0
        # By kind, the instant after which a use changes nothing, up to `_to_ms`.
        self._after_ms: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._after_ms)

    def forget(self) -> None:
        """Know nothing any more."""
        self._after_ms.clear()

    def trim(self, kinds_max: int) -> None:
        """Begin anew when there are too many."""
        if len(self._after_ms) > kinds_max:
            self.forget()

    def cover(self, event: Event, plans: PlanSet) -> bool:
        """Whether it is known that the event changes nothing under these plans."""
        at = event.occurred_at_ms
        if at > self._to_ms or plans is not self._plans:
            return False
        kind = _kind(event, plans)
        after = None if kind is None else self._after_ms.get(kind)
        return after is not None and at > after

    def learn(self, event: Event, plans: PlanSet, facts: Facts) -> None:
        """The event was folded into these facts and changed nothing."""
        kind, at = _kind(event, plans), event.occurred_at_ms
        if kind is None:
            return
        # By a clock that is ahead the newest stretch would be one to come.
        now = min(at, event.appended_at_ms)
        if now > self._to_ms or plans is not self._plans:
            self._plans = plans
            self._from_ms, self._to_ms = plans.fold_by.stretch(now)
            self.forget()
        if self._from_ms < at <= self._to_ms and (after := plans.deaf_after(facts, event)) is not None:
            self._after_ms[kind] = after


def _kind(event: Event, plans: PlanSet) -> str | None:
    """What tells it from other uses, None for a record that is no use by a known person. No text in it has a U+0000."""
    if event.type not in USAGE_TYPES or event.staff or not event.user_id:
        return None
    kind = f"{event.account_id}\0{event.user_id}\0{plans.told_apart(event.name or '')}"
    return kind if event.role is None else f"{kind}\0{event.role}"
