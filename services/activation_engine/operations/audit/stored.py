"""The database's side of an audit: what is stored of a partition at one moment, and rows of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.domain.plan import Plan
from services.activation_engine.operations.audit.snapshot import Snapshot, read_snapshot
from services.activation_engine.plans.registry import RETIRED, PlanMemory

_PLACES = sa.text("SELECT part, next_offset FROM activation.partition_lease ORDER BY part")
_BY_ID = sa.text(
    "SELECT part, seq, CAST(id AS text), account_id, type, payload FROM activation.ledger"
    " WHERE id = ANY(CAST(:ids AS uuid[]))"
)
_BY_SEQ = sa.text(
    "SELECT part, seq, CAST(id AS text), account_id, type FROM activation.ledger"
    " WHERE part = :part AND seq > :after AND seq <= :to ORDER BY seq LIMIT :limit"
)


class Recorded(NamedTuple):
    """A row of the ledger; without its payload when that was erased or not asked for."""

    part: int
    seq: int
    id: str
    account_id: str
    type: str
    payload: bytes | None = None


class Stored:
    """Every call asks anew, in a transaction of its own, and may raise what a database that is away does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._memory = PlanMemory()

    async def places(self) -> list[tuple[int, int]]:
        """All partitions with their next offsets, in order."""
        async with self._engine.connect() as connection:
            return [(row.part, row.next_offset) for row in await connection.execute(_PLACES)]

    async def snapshot(self, part: int, *, with_accounts: bool = True) -> Snapshot:
        """The partition as of now, without its accounts if those are not wanted."""
        return await read_snapshot(self._engine, part, with_accounts=with_accounts)

    async def plans(self, snapshot: Snapshot) -> Mapping[tuple[str, int], Plan]:
        """The versions that the partition ever judged by, compiled."""
        async with self._engine.connect() as connection:
            wanted = [(one.plan, one.version) for one in snapshot.adoptions if one.policy != RETIRED]
            return await self._memory.get(connection, wanted)

    async def signals(self, ids: Collection[str]) -> list[Recorded]:
        """The rows with these ids, of whatever partition."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_BY_ID, {"ids": [UUID(one) for one in ids]})
            return [Recorded(*row) for row in rows]

    async def ledger(self, part: int, *, after: int, to: int, limit: int) -> Sequence[Recorded]:
        """The rows with numbers above `after` and up to `to`, in order, without payloads."""
        page = {"part": part, "after": after, "to": to, "limit": limit}
        async with self._engine.connect() as connection:
            return [Recorded(*row) for row in await connection.execute(_BY_SEQ, page)]
