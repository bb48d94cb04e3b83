"""The audit of all partitions, one after another: its work as a job, and the result that it answers with."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.commit_plan import Outward
from services.activation_engine.domain.plan import Plan
from services.activation_engine.operations.audit.differences import Differences, compare_account, compare_row
from services.activation_engine.operations.audit.fold import LogIncomplete, PartitionFold, live_set
from services.activation_engine.operations.audit.ledger import LedgerCheck
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.snapshot import Snapshot, read_snapshot
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.job_runner import Progress
from services.activation_engine.plans.registry import RETIRED, PlanMemory

AUDIT = "audit"
LISTED_MAX = 200
_LOOK_SECONDS = 0.5

_PARTS = sa.text("SELECT part, next_offset FROM activation.partition_lease ORDER BY part")
_NEXT_OFFSET = sa.text("SELECT next_offset FROM activation.partition_lease WHERE part = :part")


@dataclass(slots=True)
class _Checked:
    """What came of one partition; `incomplete` says why its log could not be folded."""

    part: int
    next_offset: int
    differences: Differences
    accounts: int = 0
    signals: int = 0
    incomplete: str | None = None


class Audit:
    """Does audits. `moved_seconds` is how long a partition may take to move on before what differs is believed."""

    def __init__(
        self,
        engine: AsyncEngine,
        log: EventsLog,
        *,
        plans: PlanMemory,
        outward: Outward,
        show: Callable[[int], None],
        moved_seconds: float = 15.0,
    ) -> None:
        self._engine = engine
        self._log = log
        self._plans = plans
        self._outward = outward
        self._show = show
        self._moved_seconds = moved_seconds

    async def run(self, progress: Progress) -> dict[str, Any]:
        """Compare every partition; the result as JSON. Raises LogUnreachable and what a database that is away does."""
        async with self._engine.connect() as connection:
            parts = (await connection.execute(_PARTS)).all()
        progress.total = sum(row.next_offset for row in parts)
        checked = []
        finished = 0
        for row in parts:
            checked.append(await self._partition(row.part, progress))
            finished += row.next_offset
            progress.done = finished
        result = _result(checked)
        self._show(result["differences"])
        return result

    async def _partition(self, part: int, progress: Progress) -> _Checked:
        # Without its accounts first: it may be that the log tells nothing of them.
        place = await read_snapshot(self._engine, part, with_accounts=False)
        pacer = Pacer()
        ledger = LedgerCheck(self._engine, part, outward=self._outward, pacer=pacer)
        fold = PartitionFold(self._log, part, pacer=pacer, progress=progress)
        incomplete = await self._incomplete(place)
        if incomplete is None:
            try:
                await self._advance(fold, ledger, place)
                return await self._compare(lambda: self._look(fold, ledger, pacer), ledger)
            except LogIncomplete as error:
                incomplete = str(error)
        checked = await self._compare(lambda: self._look_within(part, ledger, pacer), ledger)
        checked.incomplete = incomplete
        return checked

    async def _incomplete(self, snapshot: Snapshot) -> str | None:
        if snapshot.source != self._log.topic:
            return f"what is stored was made from the topic {snapshot.source}"
        if snapshot.resumed:
            return "an operator let the partition go on elsewhere than it had stopped"
        begin = (await self._log.bounds(snapshot.part)).begin
        return f"the oldest record that is kept is {begin}; the log was cut by its retention" if begin > 0 else None

    async def _compare(
        self, look: Callable[[], Awaitable[tuple[Differences, Snapshot]]], ledger: LedgerCheck
    ) -> _Checked:
        """What differs while more is to be applied counts if it does so at two places of the log: a tick that is half
        decided, or a sweep, shows at one of them."""
        found, snapshot = await look()
        if found and (snapshot.sweeping or await self._behind(snapshot)):
            await self._moved(snapshot)
            again, snapshot = await look()
            found = {where: again[where] for where in again if where in found}
        return _Checked(
            snapshot.part, snapshot.next_offset, {**found, **ledger.found}, len(snapshot.accounts), ledger.compared
        )

    async def _look(self, fold: PartitionFold, ledger: LedgerCheck, pacer: Pacer) -> tuple[Differences, Snapshot]:
        """What is stored, with the log folded up to the same place."""
        snapshot = await read_snapshot(self._engine, fold.part)
        await self._advance(fold, ledger, snapshot)
        found: Differences = {}
        plans, folded = fold.oracle.plans, fold.oracle.accounts
        for account_id in [*folded, *(one for one in snapshot.accounts if one not in folded)]:
            row = snapshot.accounts.get(account_id)
            found |= compare_account(account_id, folded.get(account_id), row, plans)
            await pacer.rest_if_due()
        return found | await ledger.unowed(snapshot.out_seq), snapshot

    async def _look_within(self, part: int, ledger: LedgerCheck, pacer: Pacer) -> tuple[Differences, Snapshot]:
        """What can be said without the log: rows repeat their states, and the ledger's numbers have no gap."""
        snapshot = await read_snapshot(self._engine, part)
        plans = live_set(snapshot.adoptions, await self._compiled(snapshot))
        found: Differences = {}
        for account_id, row in snapshot.accounts.items():
            found |= compare_row(account_id, row, plans)
            await pacer.rest_if_due()
        return found | await ledger.unowed(snapshot.out_seq, gaps_only=True), snapshot

    async def _advance(self, fold: PartitionFold, ledger: LedgerCheck, snapshot: Snapshot) -> None:
        async for owed in fold.advance(snapshot, await self._compiled(snapshot)):
            await ledger.compare(owed)

    async def _compiled(self, snapshot: Snapshot) -> Mapping[tuple[str, int], Plan]:
        async with self._engine.connect() as connection:
            wanted = [(one.plan, one.version) for one in snapshot.adoptions if one.policy != RETIRED]
            return await self._plans.get(connection, wanted)

    async def _behind(self, snapshot: Snapshot) -> bool:
        return (await self._log.bounds(snapshot.part)).end > snapshot.next_offset

    async def _moved(self, snapshot: Snapshot) -> None:
        """Return when the partition has applied more, or does not seem to."""
        deadline = time.monotonic() + self._moved_seconds
        while time.monotonic() < deadline:
            async with self._engine.connect() as connection:
                if await connection.scalar(_NEXT_OFFSET, {"part": snapshot.part}) > snapshot.next_offset:
                    return
            await asyncio.sleep(_LOOK_SECONDS)


def _result(checked: list[_Checked]) -> dict[str, Any]:
    counts = Counter(where.kind for one in checked for where in one.differences)
    listed = [
        {
            "partition": one.part,
            "account": where.account or None,
            "kind": where.kind,
            "subject": where.subject or None,
            "expected": what.expected,
            "found": what.found,
        }
        for one in checked
        for where, what in one.differences.items()
    ]
    return {
        "differences": sum(counts.values()),
        "counts": dict(counts),
        "listed": listed[:LISTED_MAX],
        "complete": all(one.incomplete is None for one in checked),
        "partitions": [_partition_result(one) for one in checked],
    }


def _partition_result(one: _Checked) -> dict[str, Any]:
    return {
        "partition": one.part,
        "state": "compared" if one.incomplete is None else "log_incomplete",
        "why": one.incomplete,
        "next_offset": one.next_offset,
        "accounts": one.accounts,
        "signals": one.signals,
        "differences": len(one.differences),
    }
