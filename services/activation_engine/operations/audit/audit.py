"""The audit of all partitions, one after another: its work as a job, and the result that it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.activation_engine.commit_plan import Outward
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.operations.audit.cut import Cut, cut_at, first_tick
from services.activation_engine.operations.audit.differences import Differences, compare_account, compare_row
from services.activation_engine.operations.audit.fold import LogIncomplete, PartitionFold, Start, plan_sets
from services.activation_engine.operations.audit.ledger import ROWS_PER_QUERY, LedgerCheck
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.result import AuditedPartition, audit_result
from services.activation_engine.operations.audit.snapshot import Snapshot
from services.activation_engine.operations.audit.stored import Stored
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.job_runner import Progress

AUDIT = "audit"


class Audit:
    """Does audits."""

    def __init__(
        self,
        stored: Stored,
        log: EventsLog,
        *,
        outward: Outward,
        show: Callable[[int], None],
    ) -> None:
        self._stored = stored
        self._log = log
        self._outward = outward
        self._show = show

    async def run(self, progress: Progress) -> dict[str, Any]:
        """Compare every partition; the result as JSON. Raises LogUnreachable and what a database that is away does."""
        places = await self._stored.places()
        progress.total = sum(next_offset for _, next_offset in places)
        checked = []
        finished = 0
        for part, next_offset in places:
            checked.append(await self._partition(part, progress))
            finished += next_offset
            progress.done = finished
        result = audit_result(checked)
        self._show(result["differences"])
        return result

    async def _partition(self, part: int, progress: Progress) -> AuditedPartition:
        # Without its accounts first: it may be that the log tells nothing of them.
        place = await self._stored.snapshot(part, with_accounts=False)
        pacer = Pacer()
        try:
            cut = await self._cut(place, pacer)
            ledger = LedgerCheck(self._stored, part, outward=self._outward, pacer=pacer)
            fold = PartitionFold(self._log, part, start=_start(cut), pacer=pacer, progress=progress)
            await self._advance(fold, ledger, place)
            return await self._compare(fold, ledger, pacer, cut)
        except LogIncomplete as error:
            incomplete = str(error)
        return await self._compare_within(part, pacer, incomplete)

    def _must_follow(self, snapshot: Snapshot) -> None:
        """Raises LogIncomplete when what is stored did not come of this log alone."""
        if snapshot.source != self._log.topic:
            raise LogIncomplete(f"what is stored was made from the topic {snapshot.source}")
        if snapshot.resumed:
            raise LogIncomplete("an operator let the partition go on elsewhere than it had stopped")

    async def _cut(self, place: Snapshot, pacer: Pacer) -> Cut | None:
        """None when the log reaches back to its beginning. Raises LogIncomplete when nothing can be folded."""
        self._must_follow(place)
        begin = (await self._log.bounds(place.part)).begin
        if begin == 0:
            return None
        tick = await first_tick(self._log, begin, place, pacer)
        return await cut_at(tick, await self._stored.snapshot(place.part), pacer)

    async def _compare(
        self, fold: PartitionFold, ledger: LedgerCheck, pacer: Pacer, cut: Cut | None
    ) -> AuditedPartition:
        """What is stored, with the log folded up to the same place."""
        snapshot = await self._stored.snapshot(fold.part)
        # It may have been resumed since the audit began.
        self._must_follow(snapshot)
        await self._advance(fold, ledger, snapshot)
        sets, folded = plan_sets(snapshot, await self._stored.plans(snapshot)), fold.oracle.accounts
        found: Differences = {}
        differing: dict[str, Differences] = {}
        audited = 0
        for account_id, row in snapshot.accounts.items():
            if cut is not None and cut.leaves_out(account_id):
                found |= compare_row(account_id, row, sets)
            else:
                audited += 1
                if differences := compare_account(account_id, folded.get(account_id), row, sets[0]):
                    differing[account_id] = differences
            await pacer.rest_if_due()
        for account_id, state in folded.items():
            if account_id not in snapshot.accounts:
                differing[account_id] = compare_account(account_id, state, None, sets[0])
            await pacer.rest_if_due()
        found |= await self._differing(fold, ledger, pacer, snapshot, differing)
        found |= await ledger.unowed(snapshot.out_seq, leaves_out=_leaves_out(cut))
        return AuditedPartition(
            snapshot.part,
            snapshot.next_offset,
            {**found, **ledger.found},
            accounts=len(snapshot.accounts),
            audited=audited,
            signals=ledger.compared,
            since_ms=None if cut is None else cut.at_ms,
        )

    async def _differing(
        self,
        fold: PartitionFold,
        ledger: LedgerCheck,
        pacer: Pacer,
        snapshot: Snapshot,
        differing: Mapping[str, Differences],
    ) -> Differences:
        """What differs also from what comes next: a tick with much to look at is decided by several transactions, so
        that some accounts may be ahead by it."""
        plans = await self._stored.plans(snapshot)
        coming = await fold.half_decided(snapshot, plans) if differing else ()
        found: Differences = {}
        owed: list[CandidateSignal] = []
        for account_id, differences in differing.items():
            if coming and account_id in fold.oracle.accounts:
                ahead = fold.oracle.ahead(account_id, coming)
                row = snapshot.accounts.get(account_id)
                further = compare_account(account_id, ahead.accounts[account_id], row, ahead.plans)
                if len(further) < len(differences):
                    differences = further
                    owed += ahead.signals
                await pacer.rest_if_due()
            found |= differences
            if len(owed) >= ROWS_PER_QUERY:
                await ledger.compare(owed)
                owed = []
        await ledger.compare(owed)
        return found

    async def _compare_within(self, part: int, pacer: Pacer, incomplete: str) -> AuditedPartition:
        """What can be said without the log: rows repeat their states, and the ledger's numbers have no gap."""
        snapshot = await self._stored.snapshot(part)
        sets = plan_sets(snapshot, await self._stored.plans(snapshot))
        found: Differences = {}
        for account_id, row in snapshot.accounts.items():
            found |= compare_row(account_id, row, sets)
            await pacer.rest_if_due()
        ledger = LedgerCheck(self._stored, part, outward=self._outward, pacer=pacer)
        found |= await ledger.unowed(snapshot.out_seq, leaves_out=lambda _: True)
        accounts = len(snapshot.accounts)
        return AuditedPartition(part, snapshot.next_offset, found, accounts=accounts, incomplete=incomplete)

    async def _advance(self, fold: PartitionFold, ledger: LedgerCheck, snapshot: Snapshot) -> None:
        async for owed in fold.advance(snapshot, await self._stored.plans(snapshot)):
            await ledger.compare(owed)


def _leaves_out(cut: Cut | None) -> Callable[[str], bool]:
    return (lambda _: False) if cut is None else cut.leaves_out


def _start(cut: Cut | None) -> Start:
    return Start() if cut is None else Start(cut.offset, cut.leaves_out)
