"""What an owner holds of one partition in memory, valid only while its stamp is: lease, live plans, accounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode
from services.activation_engine.domain.explain import PlanRow
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.store import Adoption, Lease, StoredAccount


class Held:
    """An account's state with the rows that queries find, as last written; `rows` is None when that is not known."""

    __slots__ = ("rows", "state")

    def __init__(self, state: AccountState, rows: list[PlanRow] | None = None) -> None:
        self.state = state
        self.rows = rows


class AccountCache:
    """Recently used accounts of one partition in two generations: a hit moves an account into the young one; when
    that is full, what was not used since the last turn is forgotten. Least recently used by halves, as cheap as a
    dict."""

    __slots__ = ("_old", "_young", "half_max")

    def __init__(self, accounts_max: int) -> None:
        self.half_max = max(1, accounts_max // 2)
        self._young: dict[str, Held] = {}
        self._old: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._young) + sum(1 for account_id in self._old if account_id not in self._young)

    def get(self, account_id: str) -> Held | None:
        """The account, if it is held."""
        held = self._young.get(account_id)
        if held is None:
            held = self._old.get(account_id)
            if held is not None:
                self._young[account_id] = held
        return held

    def put(self, held: Held) -> None:
        """Hold an account."""
        self._young[held.state.account_id] = held

    def missing(self, account_ids: Iterable[str]) -> set[str]:
        """Which of these would have to be loaded. Those held move into the young generation."""
        return {account_id for account_id in account_ids if self.get(account_id) is None}

    def turn(self) -> None:
        """Forget what is too old; called between batches, so that no batch loses an account that it uses."""
        if len(self._young) >= self.half_max:
            self._old, self._young = self._young, {}


@dataclass(slots=True)
class Partition:
    """One claimed partition. `foreign` are accounts of the batch that another partition owns; `midway` that the next
    record is a tick that was decided for some accounts and has to be for the others, by the same plan versions."""

    lease: Lease
    adopted: dict[str, Adoption]
    plans: PlanSet
    accounts: AccountCache
    names: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    midway: bool = False

    @property
    def part(self) -> int:
        """The partition's number."""
        return self.lease.part

    def admit(self, row: StoredAccount) -> Held:
        """The account of this row; a state already in memory is newer than any row."""
        held = self.accounts.get(row.account_id)
        if held is None:
            held = Held(decode(row.account_id, row.facts))
            self.accounts.put(held)
        return held
