"""Which signals of an account nobody is told for now, and which snoozes name nothing that could be told."""

from collections.abc import Iterator

from msgspec import Struct

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.domain.orders import SNOOZE_PREFIX
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.rows import standings
from services.activation_engine.domain.signals import can_be_snoozed


class Snooze(Struct, frozen=True):
    """A kind of signal, or the id of a risk or opportunity, that is muted until `until_ms`; without `mutes` the
    account's plans have nothing of that name."""

    kind: str
    until_ms: int
    mutes: bool

    @property
    def text(self) -> str:
        """One sentence."""
        doubt = "" if self.mutes else " (no such kind, risk or opportunity in its plans: mutes nothing)"
        return f"{self.kind} is snoozed until {rfc3339(self.until_ms)}{doubt}."


def snoozes_of(state: AccountState, plans: PlanSet, now_ms: int) -> Iterator[Snooze]:
    """Those that are on at `now_ms`, by name."""
    orders = state.facts.orders
    watches = {one.id for live, _ in standings(state, plans) for one in live.plan.watches}
    for name in sorted(orders.registers):
        kind, until = name.removeprefix(SNOOZE_PREFIX), orders.ordered(name)
        if name.startswith(SNOOZE_PREFIX) and isinstance(until, int) and orders.muted(kind, now_ms):
            yield Snooze(kind, until, can_be_snoozed(kind) or kind in watches)
