"""One batch from records to commit: decode, load, fold, number, one guarded transaction, then the new state is adopted.

Any error forgets every partition of the batch: what was mutated in memory is dropped, and the lease row tells after
the next claim what really happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from services.activation_engine.batch import ERASURES_MAX, begin, fold
from services.activation_engine.commit_plan import (
    ROWS_PER_STEP,
    Outward,
    add_accounts,
    add_erasures,
    distinct,
    ledger_rows,
    next_lease,
)
from services.activation_engine.decoder import Input, Reason, Record, decode_record
from services.activation_engine.domain.timers import SENDER_LEAD_MS_MAX
from services.activation_engine.leases import Leases
from services.activation_engine.loading import Share, load_accounts, load_due
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.partition import Partition
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.relay import Relay
from services.activation_engine.store import (
    AccountElsewhere,
    Adoption,
    Commit,
    Lease,
    LeaseLost,
    LedgerRow,
    PublishedPlan,
    RowsRefused,
    Store,
    StoreUnavailable,
)
from services.activation_engine.suspects import FoldFailed, Suspects, mistakes_told_apart
from services.runtime.crash_points import crash_point

log = structlog.get_logger(__name__)

_DECODE_STEP = 1_000
# Kinds of use that are remembered for each account held, at 180 bytes: people, and names that plans ask for.
_KINDS_PER_ACCOUNT = 8


class _Revoked(Exception):
    """The partitions were taken away while the batch was made."""


class Transactions:
    """Applies batches. Two may be under way if they share no partition: one is made while the other commits. So one
    follows the other on the processor, and each partition's next batch begins from what was committed."""

    def __init__(
        self,
        *,
        store: Store,
        leases: Leases,
        catalog: PlanCatalog,
        relay: Relay,
        metrics: EngineMetrics,
        outward: Outward,
        due_accounts_max: int,
    ) -> None:
        self._store = store
        self._leases = leases
        self._catalog = catalog
        self._relay = relay
        self._metrics = metrics
        self._outward = outward
        self._due_accounts_max = due_accounts_max
        self._suspects = Suspects()
        # Held while a batch is made from its records, until it is committed only.
        self._making = asyncio.Lock()
        # The partitions of batches under way.
        self._busy: set[int] = set()

    async def apply(self, taken: Mapping[int, Sequence[Record]], redelivered: Mapping[int, int]) -> dict[int, int]:
        """Apply records that follow each partition's lease without a gap; how many were consumed of each. Nothing, and
        the partitions forgotten, when the transaction failed or its answer was not seen."""
        taken = self._suspects.narrowed(taken)
        parts = set(taken)
        if not parts <= self._leases.held.keys():
            return {}
        assert self._busy.isdisjoint(parts), f"a batch of partitions {sorted(self._busy & parts)} is under way"
        self._busy |= parts
        try:
            return await self._apply(taken, parts, redelivered)
        finally:
            self._busy -= parts

    async def _apply(
        self, taken: Mapping[int, Sequence[Record]], parts: set[int], redelivered: Mapping[int, int]
    ) -> dict[int, int]:
        started, timed, generation = time.monotonic(), self._metrics.timed, self._leases.generation
        # A revocation may come at any await below, and is noticed before the commit; until then these are enough.
        partitions = [self._leases.held[part] for part in sorted(parts)]
        try:
            async with self._making:
                shares = await timed("decode", self._decode(taken, redelivered, partitions))
                await timed("load", self._load(shares))
                await timed("fold", self._fold(shares))
                commit, leases = await timed("encode", self._encode(shares))
            await timed("commit", self._commit(commit, generation))
        except _Revoked:
            return {}
        except (StoreUnavailable, LeaseLost, AccountElsewhere) as error:
            if isinstance(error, LeaseLost):
                self._metrics.lease_conflicts.inc()
            log.warning("batch_failed", parts=sorted(parts), error=type(error).__name__, reason=str(error))
            if generation == self._leases.generation:
                self._leases.evict(parts)
            return {}
        except (RowsRefused, FoldFailed) as error:
            problem = Reason.ROWS_REFUSED if isinstance(error, RowsRefused) else Reason.FOLD_FAILED
            log.error(problem, parts=sorted(parts), reason=str(error), exc_info=error.__cause__)
            if generation == self._leases.generation:
                await self._refused(taken, parts, problem)
            return {}
        self._adopt(shares, leases)
        crash_point("engine.b6_adopted")
        self._measure(shares, time.monotonic() - started)
        return {share.partition.part: share.outcome.taken for share in shares}

    async def _refused(self, taken: Mapping[int, Sequence[Record]], parts: set[int], problem: Reason) -> None:
        """Look for the record that is to blame, from the state that is stored; stop where there is none to put aside,
        for the same would be tried for ever."""
        guilty = self._suspects.refused(taken, problem)
        self._leases.evict(parts.difference(guilty))
        for part in guilty:
            await self._leases.stop(part, problem)

    async def save_progress(self) -> None:
        """Write how far the relay came, so that the next owner repeats nothing."""
        behind = [
            part
            for part, partition in self._leases.held.items()
            if partition.lease.published_seq < self._relay.acked_seq(part)
        ]
        if behind:
            await self.apply(dict.fromkeys(behind, ()), {})

    def adopting(self) -> set[int]:
        """Partitions for which a newly published plan version waits."""
        held = self._leases.held
        return {part for part, partition in held.items() if self._waiting(partition)}

    def _waiting(self, partition: Partition) -> Sequence[PublishedPlan]:
        return () if partition.midway else self._catalog.pending(partition.adopted)

    async def _decode(
        self, taken: Mapping[int, Sequence[Record]], redelivered: Mapping[int, int], partitions: Sequence[Partition]
    ) -> list[Share]:
        """B2, and the plan versions that go live with this batch."""
        shares = []
        for partition in partitions:
            records = taken.get(partition.part, ())
            if partition.midway:
                # What follows is not taken before the tick is decided for all, and would be loaded for nothing.
                records = records[:1]
            inputs: list[Input] = []
            for start in range(0, len(records), _DECODE_STEP):
                inputs += map(decode_record, records[start : start + _DECODE_STEP])
                await asyncio.sleep(0)
            if len(records) == 1:
                inputs = [self._suspects.judged(partition.part, records[0], inputs[0])]
            share = Share(partition, records, inputs, begin(partition), redelivered.get(partition.part, 0))
            self._go_live(share)
            shares.append(share)
        crash_point("engine.b2_decoded")
        for share in shares:
            if share.adoptions:
                share.partition.plans = await self._catalog.plan_set(share.partition.adopted.values())
        return shares

    def _go_live(self, share: Share) -> None:
        """Judge by newly published versions from this batch on, and let a sweep look at every account again."""
        partition, lease = share.partition, share.partition.lease
        # Ticks come with the records, so an append long after the last one is that of a wrong clock.
        clock_ms, now = lease.clock.clock_ms, lease.last_append_ms or 0
        if clock_ms is not None:
            now = max(clock_ms, min(now, clock_ms + SENDER_LEAD_MS_MAX))
        for one in self._waiting(partition):
            adoption = Adoption(lease.part, one.plan, one.version, lease.next_offset, now, one.policy)
            share.adoptions.append(adoption)
            partition.adopted[one.plan] = adoption
            share.outcome.sweep_after = ""

    async def _load(self, shares: Sequence[Share]) -> None:
        """B3: the accounts of the events and those due at the ticks, with one query each."""
        await load_accounts(self._store, shares)
        await asyncio.sleep(0)
        await load_due(self._store, shares, limit=self._due_accounts_max)
        crash_point("engine.b3_loaded")

    async def _fold(self, shares: Sequence[Share]) -> None:
        """B4: the records into the accounts, in the order of each partition's log."""
        left = ERASURES_MAX
        with mistakes_told_apart():
            for share in shares:
                share.outcome.erasures_left = left
                for _ in fold(share.outcome, share.records, share.inputs, share.due):
                    await asyncio.sleep(0)
                left = share.outcome.erasures_left
        crash_point("engine.b4_folded")

    async def _encode(self, shares: Sequence[Share]) -> tuple[Commit, dict[int, Lease]]:
        """The rest of B4: what is to be written, and the leases as they will be."""
        announced = [one for share in shares for one in share.outcome.signals]
        known = await self._store.known_signals([one.signal.id for one in announced]) if announced else set()
        commit = Commit()
        written: dict[int, Lease] = {}
        with mistakes_told_apart():
            for share in shares:
                rows = await self._number(share, known)
                written[share.partition.part] = self._add(commit, share, rows)
                dirty = list(share.outcome.dirty.values())
                for start in range(0, len(dirty), ROWS_PER_STEP):
                    add_accounts(commit, share.outcome, dirty[start : start + ROWS_PER_STEP])
                    await asyncio.sleep(0)
        return commit, written

    async def _commit(self, commit: Commit, generation: int) -> None:
        """B5."""
        async with self._leases.transaction:
            if generation != self._leases.generation:
                raise _Revoked
            await self._store.commit(commit)
        if generation != self._leases.generation:
            raise _Revoked
        self._metrics.states_written([len(row.facts) for row in commit.accounts])
        for row in commit.ledger:
            self._metrics.signals.labels(row.type).inc()

    async def _number(self, share: Share, known: set[str]) -> list[LedgerRow]:
        """The ledger's rows of what is announced for the first time; `known` grows by it."""
        fresh, dropped = distinct(share.outcome.signals, known)
        self._metrics.signals_known.inc(dropped)
        known.update(one.signal.id for one in fresh)
        rows: list[LedgerRow] = []
        for start in range(0, len(fresh), ROWS_PER_STEP):
            some = fresh[start : start + ROWS_PER_STEP]
            rows += ledger_rows(share.outcome, some, self._outward, numbered=start)
            await asyncio.sleep(0)
        return rows

    def _add(self, commit: Commit, share: Share, rows: Sequence[LedgerRow]) -> Lease:
        outcome, part = share.outcome, share.partition.part
        lease = next_lease(
            outcome,
            stamp=self._leases.new_stamp(),
            signals=len(rows),
            published_seq=self._relay.acked_seq(part),
            redelivered=share.redelivered,
        )
        commit.leases.append((share.partition.lease.stamp, lease))
        commit.ledger += rows
        commit.names += outcome.names_seen()
        commit.dead_letters += outcome.dead_letters
        commit.adoptions += share.adoptions
        add_erasures(commit, outcome, rows, lease.published_seq)
        return lease

    def _adopt(self, shares: Sequence[Share], written: Mapping[int, Lease]) -> None:
        """B6: what was committed is what is held."""
        for share in shares:
            partition = share.partition
            partition.lease = written[partition.part]
            partition.midway = share.outcome.midway
            partition.accounts.trim()
            partition.repeats.trim(_KINDS_PER_ACCOUNT * partition.accounts.accounts_max)
            self._relay.committed(partition.part, partition.lease.out_seq)
            if share.adoptions:
                adopted = [f"{one.plan}/{one.version}" for one in share.adoptions]
                log.info(
                    "plans_adopted", part=partition.part, plans=adopted, from_offset=share.adoptions[0].from_offset
                )
        self._leases.progressed(written)

    def _measure(self, shares: Sequence[Share], seconds: float) -> None:
        for share in shares:
            self._metrics.records_applied(share.records[: share.outcome.taken])
        self._metrics.batch_done(
            [(share.outcome, share.redelivered) for share in shares],
            records=sum(share.outcome.taken for share in shares),
            seconds=seconds,
        )
