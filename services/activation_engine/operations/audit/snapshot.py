"""What the database holds of one partition at one moment: everything in a single repeatable-read transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine.domain.rows import PlanRow
from services.activation_engine.domain.timers import Hole
from services.activation_engine.erasing import tombstones
from services.activation_engine.store import Adoption

_ROWS_PER_QUERY = 2_000

_LEASE = sa.text(
    "SELECT next_offset, out_seq, source, sweep_after, holes FROM activation.partition_lease WHERE part = :part"
)
_ADOPTIONS = sa.text(
    "SELECT part, plan, version, from_offset, live_from_ms, policy FROM activation.partition_plan WHERE part = :part"
    " ORDER BY from_offset, plan, version"
)
_REFUSED = sa.text(
    'SELECT "offset" FROM activation.dead_letter WHERE part = :part'
    " AND reason IN ('wrong_partition', 'rows_refused', 'fold_failed')"
)
_RESUMED = sa.text("SELECT count(*) FROM activation.partition_resume WHERE part = :part")
_ACCOUNTS = sa.text(
    "SELECT account_id, next_check, facts, name, owner, last_event, active_days FROM activation.account"
    " WHERE part = :part AND account_id > :after ORDER BY account_id LIMIT :limit"
)
_PLANS = sa.text(
    "SELECT account_id, plan, version, status, reason, segment,"
    " CAST(round(extract(epoch FROM started_at) * 1000) AS bigint) AS started_at_ms,"
    " CAST(round(extract(epoch FROM first_value_at) * 1000) AS bigint) AS first_value_at_ms,"
    " CAST(round(extract(epoch FROM activated_at) * 1000) AS bigint) AS activated_at_ms, reached,"
    " features, CAST(round(extract(epoch FROM closed_at) * 1000) AS bigint) AS closed_at_ms,"
    " waiting_for, CAST(paused AS text) AS paused"
    " FROM activation.account_plan WHERE account_id = ANY(CAST(:ids AS text[]))"
)


@dataclass(slots=True)
class StoredRow:
    """An account's row, and its rows per plan."""

    next_check_ms: int | None
    facts: bytes
    name: str | None
    owner: str | None
    last_event: str | None
    active_days: dict[str, Any]
    plans: dict[str, PlanRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One partition. `refused` are offsets that the engine refused because another partition owned the account, or the
    database did not take the rows, which the log alone cannot tell; `sweeping` whether accounts wait to be judged by
    newer plan versions; `resumed` whether an operator ever let it go on elsewhere than where it had stopped; `erased`
    are the accounts that ever were, by hash."""

    part: int
    source: str
    next_offset: int
    out_seq: int
    adoptions: Sequence[Adoption]
    refused: frozenset[int]
    sweeping: bool
    resumed: bool
    holes: tuple[Hole, ...]
    erased: frozenset[bytes]
    accounts: dict[str, StoredRow]


async def read_snapshot(engine: AsyncEngine, part: int, *, with_accounts: bool = True) -> Snapshot:
    """The partition as of now, without its accounts if those are not wanted yet."""
    pool = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    of_part = {"part": part}
    async with pool.connect() as connection:
        lease = (await connection.execute(_LEASE, of_part)).one()
        adoptions = (await connection.execute(_ADOPTIONS, of_part)).all()
        refused = await connection.execute(_REFUSED, of_part)
        return Snapshot(
            part,
            lease.source,
            lease.next_offset,
            lease.out_seq,
            [Adoption(*row) for row in adoptions],
            frozenset(refused.scalars()),
            lease.sweep_after is not None,
            bool(await connection.scalar(_RESUMED, of_part)),
            tuple((start, end) for start, end in lease.holes),
            frozenset(await tombstones(connection, part)),
            await _accounts(connection, part) if with_accounts else {},
        )


async def _accounts(connection: AsyncConnection, part: int) -> dict[str, StoredRow]:
    found: dict[str, StoredRow] = {}
    after = ""
    while True:
        page = {"part": part, "after": after, "limit": _ROWS_PER_QUERY}
        rows: Sequence[Any] = (await connection.execute(_ACCOUNTS, page)).all()
        if not rows:
            return found
        for account_id, *columns in rows:
            found[account_id] = StoredRow(*columns)
        for account_id, *columns in await connection.execute(_PLANS, {"ids": [row.account_id for row in rows]}):
            found[account_id].plans[columns[0]] = PlanRow(*columns)
        after = rows[-1].account_id
