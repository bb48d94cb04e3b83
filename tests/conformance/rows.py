"""Leases and rows to put into a store."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from services.activation_engine.store import (
    AccountRow,
    Lease,
    LedgerRow,
    Store,
)


async def claimed(store: Store, part: int = 0, owner: str = "me") -> Lease:
    """A partition's lease under a stamp of ours."""
    await store.create_leases(3, source="events")
    return (await store.claim(part, stamp=uuid4(), owner=owner)).lease


def step(lease: Lease, **changes: object) -> tuple[UUID, Lease]:
    """The move from this lease to a changed one under a new stamp."""
    return lease.stamp, replace(lease, stamp=uuid4(), **changes)  # type: ignore[arg-type]


def account(account_id: str, part: int = 0, check: int | None = None) -> AccountRow:
    return AccountRow(account_id, part, check, b"facts of " + account_id.encode(), None, "dana", None, {})


def signal(seq: int, part: int = 0, payload: bytes = b"{}") -> LedgerRow:
    return LedgerRow(part, seq, str(uuid4()), "acme", "account.stalled", payload, 5)
