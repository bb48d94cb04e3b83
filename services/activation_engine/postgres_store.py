"""The protocol's database in PostgreSQL: arrays in, one statement per table, one transaction per batch."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.activation_engine import erasing, statements
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.store import (
    AccountElsewhere,
    Adoption,
    Claim,
    Commit,
    Due,
    DueQuery,
    Lease,
    LeaseLost,
    LedgerRow,
    PublishedPlan,
    RowsRefused,
    StoredAccount,
    StoreUnavailable,
)
from services.runtime.crash_points import crash_point
from services.runtime.postgres import refuses_data


class PostgresStore:
    """One short transaction per call."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create_leases(self, parts: int, *, source: str) -> None:
        """Make the rows of partitions 0 to `parts` - 1 that do not exist."""
        stamps = [uuid4() for _ in range(parts)]
        async with self._transaction() as connection:
            await connection.execute(
                statements.CREATE_LEASES, {"parts": list(range(parts)), "stamps": stamps, "source": source}
            )

    async def claim(self, part: int, *, stamp: UUID, owner: str) -> Claim:
        """Write a new stamp, whoever had the partition, and return its state."""
        async with self._transaction() as connection:
            row = (await connection.execute(statements.CLAIM, {"part": part, "stamp": stamp, "owner": owner})).one()
            adopted = (await connection.execute(statements.ADOPTED, {"part": part})).all()
            names = (await connection.execute(statements.NAMES)).scalars().all()
            erased = await erasing.tombstones(connection, part), await erasing.notices(connection, part)
        return Claim(_lease(row), tuple(Adoption(*one) for one in adopted), frozenset(names), *erased)

    async def stop_partition(self, part: int, *, stamp: UUID, reason: str) -> None:
        """Note why the partition is stopped, if the stamp still holds."""
        async with self._transaction() as connection:
            await connection.execute(statements.STOP, {"part": part, "stamp": stamp, "reason": reason})

    async def load_accounts(self, account_ids: Collection[str]) -> list[StoredAccount]:
        """The rows that exist, of whatever partition."""
        async with self._connection() as connection:
            rows = await connection.execute(statements.LOAD_ACCOUNTS, {"ids": list(account_ids)})
            return [StoredAccount(*row) for row in rows]

    async def load_due(self, queries: Sequence[DueQuery]) -> list[Due]:
        """One answer per query, in order."""
        return [await self._load_due(query) for query in queries]

    async def _load_due(self, query: DueQuery) -> Due:
        async with self._connection() as connection:
            due_by = {"part": query.part, "clock": query.clock_ms, "limit": query.limit + 1}
            rows = (await connection.execute(statements.LOAD_DUE, due_by)).all()
            swept: Sequence[Any] = ()
            if query.sweep_after is not None:
                next_of = {"part": query.part, "after": query.sweep_after, "limit": query.limit}
                swept = (await connection.execute(statements.LOAD_SWEEP, next_of)).all()
        more = rows[query.limit].next_check if len(rows) > query.limit else None
        due = tuple(StoredAccount(row.account_id, row.part, row.facts) for row in rows[: query.limit])
        return Due(due, more, tuple(StoredAccount(*row) for row in swept), len(swept) < query.limit)

    async def known_signals(self, ids: Collection[str]) -> set[str]:
        """Which of these signal ids the ledger has."""
        async with self._connection() as connection:
            found = await connection.execute(statements.KNOWN_SIGNALS, {"ids": [UUID(one) for one in ids]})
            return {str(one) for one in found.scalars()}

    async def commit(self, commit: Commit) -> None:
        """All or nothing; raises LeaseLost, AccountElsewhere or RowsRefused with nothing changed."""
        async with self._connection() as connection:
            await _compare_and_set(connection, commit.leases)
            crash_point("engine.b5_leases_set")
            with _told_apart():
                await _write_rows(connection, commit)
            crash_point("engine.b5_before_commit")
            await connection.commit()
        crash_point("engine.b5_after_commit")

    async def read_ledger(self, part: int, *, after: int, rows_max: int, bytes_max: int) -> list[LedgerRow]:
        """Signals above `after` in order, at least one if there is any."""
        asked = {"part": part, "after": after, "rows": rows_max, "bytes": bytes_max}
        async with self._connection() as connection:
            rows = await connection.execute(statements.READ_LEDGER, asked)
            return [LedgerRow(part, row.seq, str(row.id), *row[2:]) for row in rows]

    async def published_plans(self) -> list[PublishedPlan]:
        """The newest version of every plan."""
        async with self._connection() as connection:
            return [PublishedPlan(*row) for row in await connection.execute(statements.PUBLISHED)]

    async def plan_content(self, plan: str, version: int) -> Mapping[str, Any]:
        """The validated content of one version."""
        async with self._connection() as connection:
            content = await connection.scalar(statements.PLAN_CONTENT, {"plan": plan, "version": version})
            assert isinstance(content, dict), "versions are never deleted"
            return content

    async def count_statuses(self) -> dict[str, int]:
        """How many (account, plan) pairs have each status."""
        async with self._connection() as connection:
            rows = await connection.execute(statements.COUNT_STATUSES)
            return {row.status: row.accounts for row in rows}

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {_first_line(error)}") from error

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._connection() as connection, connection.begin():
            yield connection


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Rows that can never be written are not taken for a database that is away."""
    try:
        yield
    except SQLAlchemyError as error:
        if refuses_data(error):
            raise RowsRefused(f"{type(error).__name__}: {_first_line(error)}") from error
        raise


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]


def _lease(row: Any) -> Lease:
    holes = tuple((start, end) for start, end in row.holes)
    return Lease(
        part=row.part,
        stamp=row.stamp,
        source=row.source,
        next_offset=row.next_offset,
        last_append_ms=row.last_append_ms,
        out_seq=row.out_seq,
        published_seq=row.published_seq,
        ledger_ms=row.ledger_ms,
        clock=PartitionClock(row.clock_ms, row.last_event_at_ms, holes, row.hold_until_ms),
        sweep_after=row.sweep_after,
        counts=row.counts,
        stopped=row.stopped,
    )


async def _compare_and_set(connection: AsyncConnection, leases: Sequence[tuple[UUID, Lease]]) -> None:
    """Move every lease to its new stamp. The rows stay locked until the end, so a zombie waits and then finds none."""
    # In order of partitions, so that two owners of the same ones cannot wait for each other in a circle.
    ordered = sorted(leases, key=lambda change: change[1].part)
    done = await connection.execute(statements.COMPARE_AND_SET, statements.lease_arrays(ordered))
    if done.rowcount < len(ordered):
        raise LeaseLost(f"{len(ordered) - done.rowcount} of {len(ordered)} stamps are not ours any more")


async def _write_rows(connection: AsyncConnection, commit: Commit) -> None:
    if commit.erasures:
        await erasing.erase_accounts(connection, commit.erasures)
        crash_point("engine.b5_erased")
    if commit.accounts:
        done = await connection.execute(statements.UPSERT_ACCOUNTS, statements.account_arrays(commit.accounts))
        if done.rowcount < len(commit.accounts):
            raise AccountElsewhere(f"{len(commit.accounts) - done.rowcount} accounts belong to other partitions")
    if commit.plans:
        await connection.execute(statements.UPSERT_PLANS, statements.plan_arrays(commit.plans))
    if commit.ledger:
        await connection.execute(statements.INSERT_LEDGER, statements.ledger_arrays(commit.ledger))
    if commit.names:
        await connection.execute(statements.UPSERT_NAMES, statements.arrays(commit.names))
    if commit.dead_letters:
        await connection.execute(statements.INSERT_DEAD_LETTERS, statements.arrays(commit.dead_letters))
    if commit.adoptions:
        await connection.execute(statements.INSERT_ADOPTIONS, statements.arrays(commit.adoptions))
    await erasing.erase_traces(connection, commit)
