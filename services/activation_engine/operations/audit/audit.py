"""The audit of all partitions, one after another: its work as a job, and the result that it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.commit_plan import Outward
from services.activation_engine.domain.plan import Plan
from services.activation_engine.operations.audit.cut import Cut, cut_at, first_tick
from services.activation_engine.operations.audit.differences import Differences, compare_account, compare_row
from services.activation_engine.operations.audit.fold import LogIncomplete, PartitionFold, Start, plan_sets
from services.activation_engine.operations.audit.ledger import LedgerCheck
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.result import AuditedPartition, audit_result
from services.activation_engine.operations.audit.snapshot import Snapshot, read_snapshot
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.job_runner import Progress
from services.activation_engine.plans.registry import RETIRED, PlanMemory

AUDIT = "audit"
_PARTS = sa.text("SELECT part, next_offset FROM activation.partition_lease ORDER BY part")


class Audit:
    """Does audits."""

    def __init__(
        self,
        engine: AsyncEngine,
        log: EventsLog,
        *,
        plans: PlanMemory,
        outward: Outward,
        show: Callable[[int], None],
    ) -> None:
        self._engine = engine
        self._log = log
        self._plans = plans
        self._outward = outward
        self._show = show

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
        result = audit_result(checked)
        self._show(result["differences"])
        return result

    async def _partition(self, part: int, progress: Progress) -> AuditedPartition:
        # Without its accounts first: it may be that the log tells nothing of them.
        place = await read_snapshot(self._engine, part, with_accounts=False)
        pacer = Pacer()
        try:
            cut = await self._cut(place, pacer)
            ledger = LedgerCheck(self._engine, part, outward=self._outward, pacer=pacer)
            fold = PartitionFold(self._log, part, start=_start(cut, place), pacer=pacer, progress=progress)
            await self._advance(fold, ledger, place)
            return await self._compare(fold, ledger, pacer, cut)
        except LogIncomplete as error:
            incomplete = str(error)
        return await self._compare_within(part, pacer, incomplete)

    async def _cut(self, place: Snapshot, pacer: Pacer) -> Cut | None:
        """None when the log reaches back to its beginning. Raises LogIncomplete when nothing can be folded."""
        if place.source != self._log.topic:
            raise LogIncomplete(f"what is stored was made from the topic {place.source}")
        if place.resumed:
            raise LogIncomplete("an operator let the partition go on elsewhere than it had stopped")
        begin = (await self._log.bounds(place.part)).begin
        if begin == 0:
            return None
        tick = await first_tick(self._log, begin, place, pacer)
        return await cut_at(tick, await read_snapshot(self._engine, place.part), pacer)

    async def _compare(
        self, fold: PartitionFold, ledger: LedgerCheck, pacer: Pacer, cut: Cut | None
    ) -> AuditedPartition:
        """What is stored, with the log folded up to the same place."""
        snapshot = await read_snapshot(self._engine, fold.part)
        await self._advance(fold, ledger, snapshot)
        plans = await self._compiled(snapshot)
        sets, folded = plan_sets(snapshot, plans), fold.oracle.accounts
        found: Differences = {}
        differing: dict[str, Differences] = {}
        for account_id in [*folded, *(one for one in snapshot.accounts if one not in folded)]:
            row = snapshot.accounts.get(account_id)
            if row is not None and cut is not None and cut.leaves_out(account_id):
                found |= compare_row(account_id, row, sets)
            elif differences := compare_account(account_id, folded.get(account_id), row, sets):
                differing[account_id] = differences
            await pacer.rest_if_due()
        # A tick with much to look at is decided by several transactions: some accounts may be ahead by it.
        coming = await fold.half_decided(snapshot, plans) if differing else ()
        for account_id, differences in differing.items():
            if coming and account_id in folded:
                ahead = fold.oracle.ahead(account_id, coming)
                state, row = ahead.accounts[account_id], snapshot.accounts.get(account_id)
                further = compare_account(account_id, state, row, sets)
                if len(further) < len(differences):
                    differences = further
                    await ledger.compare(ahead.signals)
                await pacer.rest_if_due()
            found |= differences
        found |= await ledger.unowed(snapshot.out_seq, leaves_out=_leaves_out(cut))
        return AuditedPartition(
            snapshot.part,
            snapshot.next_offset,
            {**found, **ledger.found},
            accounts=len(snapshot.accounts),
            audited=sum(cut is None or not cut.leaves_out(one) for one in snapshot.accounts),
            signals=ledger.compared,
            since_ms=None if cut is None else cut.at_ms,
        )

    async def _compare_within(self, part: int, pacer: Pacer, incomplete: str) -> AuditedPartition:
        """What can be said without the log: rows repeat their states, and the ledger's numbers have no gap."""
        snapshot = await read_snapshot(self._engine, part)
        sets = plan_sets(snapshot, await self._compiled(snapshot))
        found: Differences = {}
        for account_id, row in snapshot.accounts.items():
            found |= compare_row(account_id, row, sets)
            await pacer.rest_if_due()
        ledger = LedgerCheck(self._engine, part, outward=self._outward, pacer=pacer)
        found |= await ledger.unowed(snapshot.out_seq, leaves_out=lambda _: True)
        accounts = len(snapshot.accounts)
        return AuditedPartition(part, snapshot.next_offset, found, accounts=accounts, incomplete=incomplete)

    async def _advance(self, fold: PartitionFold, ledger: LedgerCheck, snapshot: Snapshot) -> None:
        async for owed in fold.advance(snapshot, await self._compiled(snapshot)):
            await ledger.compare(owed)

    async def _compiled(self, snapshot: Snapshot) -> Mapping[tuple[str, int], Plan]:
        async with self._engine.connect() as connection:
            wanted = [(one.plan, one.version) for one in snapshot.adoptions if one.policy != RETIRED]
            return await self._plans.get(connection, wanted)


def _leaves_out(cut: Cut | None) -> Callable[[str], bool]:
    return (lambda _: False) if cut is None else cut.leaves_out


def _start(cut: Cut | None, place: Snapshot) -> Start:
    return Start() if cut is None else Start(cut.offset, place.holes, cut.leaves_out)
