"""What a batch needs and memory does not have: the accounts that its events name, and those due at its ticks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.activation_engine.batch import DueAccounts, Outcome, due_by
from services.activation_engine.decoder import Input, Record
from services.activation_engine.domain.event import Event
from services.activation_engine.partition import Partition
from services.activation_engine.store import Adoption, Due, DueQuery, Store

# Rows taken in between two chances for the event loop.
_ROWS_PER_STEP = 500


@dataclass(slots=True)
class Share:
    """One partition's part of a batch."""

    partition: Partition
    records: Sequence[Record]
    inputs: list[Input]
    outcome: Outcome
    redelivered: int = 0
    due: DueAccounts = field(default_factory=DueAccounts)
    adoptions: list[Adoption] = field(default_factory=list)


async def load_accounts(store: Store, shares: Sequence[Share]) -> None:
    """The accounts that events of these shares may change and that are not in memory, of all partitions at once."""
    missing: dict[str, list[Partition]] = {}
    for share in shares:
        # In the order of the log, not of hashes: what is held longest must not differ between two runs.
        touched = accounts_touched(share.partition, share.inputs)
        share.partition.foreign = set()
        for account_id in share.partition.accounts.missing(touched):
            missing.setdefault(account_id, []).append(share.partition)
    if not missing:
        return
    rows = await store.load_accounts(missing)
    for start in range(0, len(rows), _ROWS_PER_STEP):
        for row in rows[start : start + _ROWS_PER_STEP]:
            for partition in missing.pop(row.account_id):
                if row.part == partition.part:
                    partition.admit(row)
                else:
                    partition.foreign.add(row.account_id)
        await asyncio.sleep(0)
    # A new account belongs to the first partition that names it; were both to make it, neither could commit.
    for account_id, (_, *others) in missing.items():
        for partition in others:
            partition.foreign.add(account_id)


def accounts_touched(partition: Partition, inputs: Iterable[Input]) -> dict[str, None]:
    """The accounts that the fold will ask for, in the order of the log: those of events not known to be idle."""
    repeats, plans = partition.repeats, partition.plans
    touched: dict[str, None] = {}
    for given in inputs:
        if type(given) is Event:
            given.idle = repeats.cover(given, plans)
            if not given.idle:
                touched[given.account_id] = None
    return touched


async def load_due(store: Store, shares: Sequence[Share], *, limit: int) -> None:
    """What the ticks of these shares have to look at: at most `limit` accounts of all, and as many of sweeps."""
    clocks = [(share, due_by(share.partition.lease.clock, share.records, share.inputs)) for share in shares]
    ticking = [(share, clock_ms) for share, clock_ms in clocks if clock_ms is not None]
    if ticking:
        each = max(1, limit // len(ticking))
        queries = [
            DueQuery(share.partition.part, clock_ms, each, share.outcome.sweep_after) for share, clock_ms in ticking
        ]
        for (share, _), due in zip(ticking, await store.load_due(queries), strict=True):
            share.due = _admitted(share.partition, due)


def _admitted(partition: Partition, due: Due) -> DueAccounts:
    accounts = [partition.admit(row) for row in due.accounts]
    sweep = [partition.admit(row) for row in due.sweep]
    swept_to = None if due.sweep_done else sweep[-1].state.account_id
    return DueAccounts(accounts, due.more_from_ms, sweep, swept_to)
