"""What an owner holds of one partition in memory, valid only while its stamp is: lease, live plans, accounts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec import Struct

from schemas.erasure import account_hash
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.encoding import decode
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.repeats import Repeats
from services.activation_engine.store import Adoption, Lease, StoredAccount


class Held(Struct, eq=False, gc=False):
    """An account's state, with marks of the rows per plan as last written, empty when those are not known. Records up
    to the offset `erased_to` are of an account that was erased, whose id this one has. `wanted`: asked for since it was
    last looked at by `trim`."""

    state: AccountState
    written: tuple[int, ...] = ()
    erased_to: int = -1
    wanted: bool = False


class AccountCache:
    """Accounts of one partition, of which `accounts_max` outlast a batch. Which ones is decided by second chance: the
    oldest is forgotten, unless it was asked for meanwhile and so begins anew. To ask costs no more than a flag."""

    __slots__ = ("_held", "accounts_max", "get")

    def __init__(self, accounts_max: int) -> None:
        self.accounts_max = accounts_max
        self._held: OrderedDict[str, Held] = OrderedDict()
        # The account, if it is held: the dict's own method, because every event asks.
        self.get: Callable[[str], Held | None] = self._held.get

    def __len__(self) -> int:
        return len(self._held)

    def put(self, held: Held) -> None:
        """Hold an account."""
        self._held[held.state.account_id] = held

    def drop(self, account_id: str) -> None:
        """Forget an account."""
        self._held.pop(account_id, None)

    def missing(self, account_ids: Iterable[str]) -> list[str]:
        """Which of these would have to be loaded. Those held count as asked for."""
        absent = []
        for account_id in account_ids:
            held = self.get(account_id)
            if held is None:
                absent.append(account_id)
            else:
                held.wanted = True
        return absent

    def trim(self) -> None:
        """Forget what is too many; called between batches, so that no batch loses an account that it uses."""
        while len(self._held) > self.accounts_max:
            account_id, held = self._held.popitem(last=False)
            if held.wanted:
                held.wanted = False
                self._held[account_id] = held


@dataclass(slots=True)
class Partition:
    """One claimed partition. `names` are the event names seen, by all partitions of the process together; `foreign` are
    accounts of the batch that another partition owns; `midway` that the next record is a tick that was decided for
    some accounts and has to be for others, by the same plan versions. `tombstones` are the erased accounts, by hash,
    with the offset of the newest command; `notices` the numbers of their last signals while those still name the
    account, with the name that will replace its id."""

    lease: Lease
    adopted: dict[str, Adoption]
    plans: PlanSet
    accounts: AccountCache
    repeats: Repeats = field(default_factory=Repeats)
    names: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    midway: bool = False
    tombstones: dict[bytes, int] = field(default_factory=dict)
    notices: dict[int, str] = field(default_factory=dict)

    @property
    def part(self) -> int:
        """The partition's number."""
        return self.lease.part

    def admit(self, row: StoredAccount) -> Held:
        """The account of this row; a state already in memory is newer than any row."""
        held = self.accounts.get(row.account_id)
        if held is None:
            held = Held(decode(row.account_id, row.facts), erased_to=self.erased_to(row.account_id))
            self.accounts.put(held)
        return held

    def erased_to(self, account_id: str) -> int:
        """Up to which offset records of this account count for nothing, -1 when it was never erased."""
        # Hashed only when an account is not in memory, and not at all where nobody was ever erased.
        return self.tombstones.get(account_hash(account_id), -1) if self.tombstones else -1

    def erase(self, account_id: str, offset: int) -> None:
        """Forget an account by the command at this offset."""
        self.accounts.drop(account_id)
        self.repeats.forget()
        self.tombstones[account_hash(account_id)] = offset
