"""What the protocol asks of its database, and the values that pass: one implementation speaks PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from services.activation_engine.domain.rows import ActiveDays, PlanRow
from services.activation_engine.domain.timers import PartitionClock


class StoreUnavailable(Exception):
    """The database did not answer, or what it answered was not seen: whatever was asked may have happened."""


class RowsRefused(Exception):
    """The database can never take one of these values; nothing was changed."""


class LeaseLost(Exception):
    """Another owner wrote its stamp; nothing was changed."""


class AccountElsewhere(Exception):
    """An account of the commit belongs to another partition; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The row of one partition. `next_offset` is the first record not applied, `last_append_ms` the append time of the
    one before it; `out_seq` the newest ledger number, `published_seq` the newest known to be on Kafka; `ledger_ms` when
    the ledger began, which tells it from one that was there before a database was lost; `sweep_after`
    the last account that a sweep for a new plan version looked at, None when none is under way; it ends within the
    first tick after the version went live."""

    part: int
    stamp: UUID
    source: str
    next_offset: int = 0
    last_append_ms: int | None = None
    out_seq: int = 0
    published_seq: int = 0
    ledger_ms: int = 0
    clock: PartitionClock = field(default_factory=PartitionClock)
    sweep_after: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class Adoption:
    """A plan version live on a partition from an offset and a log time on; one of policy `retired` ends its plan."""

    part: int
    plan: str
    version: int
    from_offset: int
    live_from_ms: int
    policy: str


@dataclass(frozen=True, slots=True)
class Notice:
    """An `account.erased` in the ledger; `account_id` is the account's own, or what takes its place."""

    part: int
    seq: int
    account_id: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """What to erase: the account, or its person `user_id`, from everything below the command's offset."""

    part: int
    offset: int
    account_id: str
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim returns: the row under the new stamp, the adopted versions, the event names seen on any partition,
    the erased accounts by hash with the offset of their erasure, and the signals of erasures that still name one."""

    lease: Lease
    adopted: tuple[Adoption, ...]
    names: frozenset[str]
    tombstones: Mapping[bytes, int] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's row; `facts` is the encoded state."""

    account_id: str
    part: int
    facts: bytes


@dataclass(frozen=True, slots=True)
class DueQuery:
    """Accounts of `part` to look at by `clock_ms`: at most `limit`, and as many of a sweep after `sweep_after`."""

    part: int
    clock_ms: int
    limit: int
    sweep_after: str | None = None


class AccountRow(NamedTuple):
    """An account to write; `last_event` names what it did last, `active_days` are by `days_key`."""

    account_id: str
    part: int
    next_check_ms: int | None
    facts: bytes
    name: str | None
    owner: str | None
    last_event: str | None
    active_days: Mapping[str, ActiveDays]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A signal to write or to publish; `appended_ms` is the append time of the record that caused it, `received_ms`
    when ingest received it (of a tick: the append), `traceparent` what came with it."""

    part: int
    seq: int
    id: str
    account_id: str
    type: str
    payload: bytes | None
    appended_ms: int
    received_ms: int | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that can never be applied, as it was."""

    part: int
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    appended_ms: int


@dataclass(frozen=True, slots=True)
class NameSeen:
    """How often an event name came in one batch of a partition, and when first and last by append time."""

    part: int
    name: str
    count: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class Commit:
    """One transaction: each lease moves from the stamp that its owner knows to a new one, or nothing happens at all.
    `erasures`, each account at most once, take effect before the other rows; `announced_erasures` are published, and
    name their account no longer."""

    leases: list[tuple[UUID, Lease]] = field(default_factory=list)
    accounts: list[AccountRow] = field(default_factory=list)
    plans: list[tuple[str, PlanRow]] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    names: list[NameSeen] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    adoptions: list[Adoption] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)
    erased_people: list[Erasure] = field(default_factory=list)
    announced_erasures: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PublishedPlan:
    """The newest version of a plan, with the hash of its content; of policy `retired` when the plan ended by it."""

    plan: str
    version: int
    policy: str
    hash: str


class Store(Protocol):
    """Every call may raise StoreUnavailable."""

    async def create_leases(self, parts: int, *, source: str) -> None:
        """Make the rows of partitions 0 to `parts` - 1 that do not exist."""

    async def claim(self, part: int, *, stamp: UUID, owner: str) -> Claim:
        """Write a new stamp, whoever had the partition, and return its state."""

    async def stop_partition(self, part: int, *, stamp: UUID, reason: str) -> None:
        """Note why the partition is stopped, if the stamp still holds."""

    async def load_accounts(self, account_ids: Collection[str]) -> list[StoredAccount]:
        """The rows that exist, of whatever partition."""

    async def load_due(self, queries: Sequence[DueQuery]) -> list[Due]:
        """One answer per query, in order."""

    async def known_signals(self, ids: Collection[str]) -> set[str]:
        """Which of these signal ids the ledger has."""

    async def commit(self, commit: Commit) -> None:
        """All or nothing; raises LeaseLost, AccountElsewhere or RowsRefused with nothing changed."""

    async def read_ledger(self, part: int, *, after: int, rows_max: int, bytes_max: int) -> list[LedgerRow]:
        """Signals above `after` in order, at least one if there is any."""

    async def published_plans(self) -> list[PublishedPlan]:
        """The newest version of every plan."""

    async def plan_content(self, plan: str, version: int) -> Mapping[str, Any]:
        """The validated content of one version."""

    async def count_statuses(self) -> dict[str, int]:
        """How many (account, plan) pairs have each status."""


@dataclass(frozen=True, slots=True)
class Due:
    """`accounts` in order of (next check, id), cut to the limit; `more_from_ms` is the check time of the first one cut.
    `sweep` holds the next accounts of a sweep, and `sweep_done` whether they were the last."""

    accounts: tuple[StoredAccount, ...] = ()
    more_from_ms: int | None = None
    sweep: tuple[StoredAccount, ...] = ()
    sweep_done: bool = True
