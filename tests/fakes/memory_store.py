"""The protocol's database in memory: the same promises as PostgreSQL's, kept by one process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import Any
from uuid import UUID, uuid4

from schemas.erasure import account_hash, pseudonym
from services.activation_engine.domain.rows import PlanRow
from services.activation_engine.domain.signals import ERASED
from services.activation_engine.plans.loader import content_hash
from services.activation_engine.store import (
    AccountElsewhere,
    AccountRow,
    Adoption,
    Claim,
    Commit,
    DeadLetter,
    Due,
    DueQuery,
    Erasure,
    Lease,
    LeaseLost,
    LedgerRow,
    NameSeen,
    Notice,
    PublishedPlan,
    RowsRefused,
    StoredAccount,
    StoreUnavailable,
)


@dataclass
class MemoryStore:
    """Everything is in the open, so that tests may look and plant. `adopted` has every adoption, in order, and
    `adoptions` the newest of each partition and plan; rows of the accounts `refused` can never be written."""

    leases: dict[int, Lease] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    accounts: dict[str, AccountRow] = field(default_factory=dict)
    plans: dict[tuple[str, str], PlanRow] = field(default_factory=dict)
    ledger: dict[int, list[LedgerRow]] = field(default_factory=dict)
    names: dict[tuple[int, str], NameSeen] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    adoptions: dict[tuple[int, str], Adoption] = field(default_factory=dict)
    adopted: list[Adoption] = field(default_factory=list)
    versions: dict[tuple[str, int], tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    tombstones: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()

    def copy(self) -> MemoryStore:
        """The same rows, kept apart."""
        copied = MemoryStore()
        copied.become(self)
        return copied

    def become(self, other: MemoryStore) -> None:
        """Have the rows of the other, and forget one's own."""
        for each in fields(MemoryStore):
            setattr(self, each.name, copy(getattr(other, each.name)))
        self.ledger = {part: list(rows) for part, rows in other.ledger.items()}

    async def create_leases(self, parts: int, *, source: str) -> None:
        """Make the rows of partitions 0 to `parts` - 1 that do not exist."""
        for part in range(parts):
            self.leases.setdefault(part, Lease(part=part, stamp=uuid4(), source=source, ledger_ms=1))

    async def claim(self, part: int, *, stamp: UUID, owner: str) -> Claim:
        """Write a new stamp, whoever had the partition, and return its state."""
        lease = self.leases[part] = replace(self.leases[part], stamp=stamp, stopped=None)
        self.owners[part] = owner
        adopted = tuple(one for (on, _), one in sorted(self.adoptions.items()) if on == part)
        names = frozenset(name for _, name in self.names)
        told = (row for row in self.ledger.get(part, []) if row.type == ERASED and row.payload is not None)
        notices = tuple(Notice(row.part, row.seq, row.account_id) for row in told)
        tombstones = {erased: offset for erased, (on, offset) in self.tombstones.items() if on == part}
        return Claim(lease, adopted, names, tombstones, notices)

    async def stop_partition(self, part: int, *, stamp: UUID, reason: str) -> None:
        """Note why the partition is stopped, if the stamp still holds."""
        if self.leases[part].stamp == stamp:
            self.leases[part] = replace(self.leases[part], stopped=reason)

    async def load_accounts(self, account_ids: Collection[str]) -> list[StoredAccount]:
        """The rows that exist, of whatever partition."""
        return [_stored(self.accounts[one]) for one in account_ids if one in self.accounts]

    async def load_due(self, queries: Sequence[DueQuery]) -> list[Due]:
        """One answer per query, in order."""
        return [self._load_due(query) for query in queries]

    def _load_due(self, query: DueQuery) -> Due:
        mine = [row for row in self.accounts.values() if row.part == query.part]
        checks = [(row.next_check_ms, row.account_id, row) for row in mine if row.next_check_ms is not None]
        due = sorted((check, one, row) for check, one, row in checks if check <= query.clock_ms)
        more = due[query.limit][0] if len(due) > query.limit else None
        swept: list[AccountRow] = []
        if query.sweep_after is not None:
            after = query.sweep_after
            swept = sorted((row for row in mine if row.account_id > after), key=lambda row: row.account_id)
        return Due(
            tuple(_stored(row) for _, _, row in due[: query.limit]),
            more,
            tuple(_stored(row) for row in swept[: query.limit]),
            len(swept) < query.limit,
        )

    async def known_signals(self, ids: Collection[str]) -> set[str]:
        """Which of these signal ids the ledger has."""
        return {row.id for rows in self.ledger.values() for row in rows} & set(ids)

    async def commit(self, commit: Commit) -> None:
        """All or nothing; raises LeaseLost, AccountElsewhere or RowsRefused with nothing changed."""
        if any(self.leases[lease.part].stamp != known for known, lease in commit.leases):
            raise LeaseLost("a stamp is not ours any more")
        owners = ((row, self.accounts.get(row.account_id)) for row in commit.accounts)
        if any(known is not None and known.part != row.part for row, known in owners):
            raise AccountElsewhere("an account belongs to another partition")
        if any(row.account_id in self.refused or "\0" in (row.name or "") for row in commit.accounts):
            raise RowsRefused("an account has a value that cannot be stored")
        if self._repeats(commit.ledger):
            raise StoreUnavailable("the ledger has a signal of this id or number already")
        for one in commit.erasures:
            self._erase(one)
        self.leases |= {lease.part: lease for _, lease in commit.leases}
        self.accounts |= {row.account_id: row for row in commit.accounts}
        self.plans |= {(account_id, row.plan): row for account_id, row in commit.plans}
        for row in commit.ledger:
            self.ledger.setdefault(row.part, []).append(row)
        for seen in commit.names:
            known = self.names.get((seen.part, seen.name))
            grown = seen if known is None else replace(known, count=known.count + seen.count, last_ms=seen.last_ms)
            self.names[seen.part, seen.name] = grown
        self.dead_letters += commit.dead_letters
        self.adoptions |= {(one.part, one.plan): one for one in commit.adoptions}
        self.adopted += commit.adoptions
        for one in (*commit.erasures, *commit.erased_people):
            letters = [_foreign_blanked(letter, one) for letter in self.dead_letters]
            self.dead_letters = [letter for letter in letters if not _speaks_of(letter, one)]
        for told in commit.announced_erasures:
            self.ledger[told.part] = [
                replace(row, account_id=told.account_id, payload=None) if row.seq == told.seq else row
                for row in self.ledger[told.part]
            ]

    def _repeats(self, rows: Sequence[LedgerRow]) -> bool:
        kept = [row for ledger in self.ledger.values() for row in ledger] if rows else []
        together = [*kept, *rows]
        ids, numbers = {row.id for row in together}, {(row.part, row.seq) for row in together}
        return min(len(ids), len(numbers)) < len(together)

    def _erase(self, erasure: Erasure) -> None:
        account_id, part = erasure.account_id, erasure.part
        known = self.accounts.get(account_id)
        if known is not None and known.part == part:
            del self.accounts[account_id]
            self.plans = {key: row for key, row in self.plans.items() if key[0] != account_id}
        self.ledger[part] = [
            replace(row, account_id=pseudonym(account_id), payload=None)
            if row.account_id == account_id and row.type != ERASED
            else row
            for row in self.ledger.get(part, [])
        ]
        self.tombstones[account_hash(account_id)] = part, erasure.offset

    async def read_ledger(self, part: int, *, after: int, rows_max: int, bytes_max: int) -> list[LedgerRow]:
        """Signals above `after` in order, at least one if there is any."""
        rows: list[LedgerRow] = []
        used = 0
        for row in self.ledger.get(part, [])[after : after + rows_max]:
            used += len(row.payload or b"")
            if rows and used > bytes_max:
                break
            rows.append(row)
        return rows

    async def published_plans(self) -> list[PublishedPlan]:
        """The newest version of every plan."""
        newest = {plan: (version, *self.versions[plan, version]) for plan, version in sorted(self.versions)}
        return [
            PublishedPlan(plan, version, policy, content_hash(content))
            for plan, (version, policy, content) in newest.items()
        ]

    async def plan_content(self, plan: str, version: int) -> Mapping[str, Any]:
        """The validated content of one version."""
        return self.versions[plan, version][1]

    async def count_statuses(self) -> dict[str, int]:
        """How many (account, plan) pairs have each status."""
        counts: dict[str, int] = {}
        for row in self.plans.values():
            counts[row.status] = counts.get(row.status, 0) + 1
        return counts


def _foreign_blanked(letter: DeadLetter, erasure: Erasure) -> DeadLetter:
    foreign = letter.part != erasure.part and letter.reason == "wrong_partition"
    return replace(letter, key=None, value=None) if foreign and _speaks_of(letter, erasure) else letter


def _speaks_of(letter: DeadLetter, erasure: Erasure) -> bool:
    """Whether a dead letter is of the erased account, or about the erased person."""
    mine = letter.key == erasure.account_id.encode()
    before = letter.part != erasure.part or letter.offset < erasure.offset
    return mine and before and (erasure.user_id is None or erasure.user_id.encode() in (letter.value or b""))


def _stored(row: AccountRow) -> StoredAccount:
    return StoredAccount(row.account_id, row.part, row.facts)
