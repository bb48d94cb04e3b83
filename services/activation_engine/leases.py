"""Which partitions this process owns: claims them under a new stamp, checks their log, forgets them.

Nothing held here outlives a revocation or a transaction whose answer was not seen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from uuid import UUID, uuid4

import structlog

from schemas.erasure import pseudonym
from services.activation_engine.log_probe import Checked, LogProbe, LogUnreachable
from services.activation_engine.metrics import STOPS, EngineMetrics
from services.activation_engine.partition import AccountCache, Partition
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.relay import Relay
from services.activation_engine.store import Claim, Store, StoreUnavailable
from services.runtime.crash_points import crash_point

log = structlog.get_logger(__name__)

_RETRY_SECONDS_MAX = 30.0
# A frozen database takes its time to fail for each partition, and the loop has to show that it lives meanwhile.
_CLAIMS_SECONDS_MAX = 10.0


class Leases:
    """`heartbeat_seconds` is the least wait after a failure: a zombie has to learn of its expulsion first."""

    def __init__(
        self,
        *,
        store: Store,
        probe: LogProbe,
        catalog: PlanCatalog,
        relay: Relay,
        metrics: EngineMetrics,
        owner: str,
        heartbeat_seconds: float,
        accounts_cached_max: int,
        new_stamp: Callable[[], UUID] = uuid4,
    ) -> None:
        self._store = store
        self._probe = probe
        self._catalog = catalog
        self._relay = relay
        self._metrics = metrics
        self._owner = owner
        self._heartbeat_seconds = heartbeat_seconds
        self._accounts_cached_max = accounts_cached_max
        self.new_stamp = new_stamp
        self.held: dict[int, Partition] = {}
        self.stopped: dict[int, str] = {}
        # The event names seen, of all partitions together, for their number is limited together.
        self._names: set[str] = set()
        # Assigned and not claimed: when to try, by the loop's clock.
        self._waiting: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        # Changes with every assignment: who waited for something compares it before believing what it held.
        self.generation = 0
        # Held while a transaction is under way, so that a revocation can wait for its end.
        self.transaction = asyncio.Lock()

    def assign(self, parts: Iterable[int]) -> None:
        """A1: these partitions are ours to claim, and nothing else is. No I/O: heartbeats stand still meanwhile."""
        self._forget_all()
        self._waiting = dict.fromkeys(parts, float("-inf"))

    async def revoke(self, *, within_seconds: float) -> None:
        """Flag that everything is gone, let the transaction under way end, forget."""
        self._forget_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds), self.transaction:
                pass

    def _forget_all(self) -> None:
        self.generation += 1
        for part in list(self.held):
            self._forget(part)
        self._waiting, self.stopped = {}, {}
        self._metrics.forget_partitions()
        self._show()

    def evict(self, parts: Collection[int]) -> None:
        """Forget partitions after a failed or doubtful transaction, and claim them again after a wait."""
        for part in parts:
            if part in self.held:
                self._forget(part)
                self._retry_later(part)
        self._show()

    def progressed(self, parts: Iterable[int]) -> None:
        """These committed: their next failure is a first one."""
        for part in parts:
            self._failures.pop(part, None)

    def claimable(self) -> list[int]:
        """Assigned partitions whose wait is over, the longest first."""
        now = asyncio.get_running_loop().time()
        return sorted((part for part, at in self._waiting.items() if at <= now), key=self._waiting.__getitem__)

    async def claim(self, parts: Collection[int]) -> list[Partition]:
        """A2 and A3 for as many of these partitions as there is time for; returns those that may run now; a stopped one
        stays unclaimed."""
        generation = self.generation
        claims = await self._write_stamps(parts)
        if not claims:
            return []
        try:
            checked = await self._probe.check([claim.lease for claim in claims])
        except LogUnreachable as error:
            claimed = sorted(claim.lease.part for claim in claims)
            log.warning("log_not_checked", parts=claimed, error=str(error))
            self._retry_all(generation, claimed)
            return []
        crash_point("engine.a3_checked")
        running = []
        for claim in claims:
            partition = await self._open(claim, checked[claim.lease.part], generation)
            if partition is not None:
                running.append(partition)
        self._show()
        return running

    async def stop(self, part: int, reason: str) -> None:
        """Stop one partition until an operator looks: its log is not the one that was applied, or a tick cannot be."""
        held = self.held.get(part)
        if held is not None:
            self._forget(part)
            await self._note_stop(part, held.lease.stamp, reason)
            self._show()

    def reclaim(self, parts: Iterable[int]) -> None:
        """An operator decided how these stopped partitions go on: claim them again, and look at their log again."""
        for part in parts:
            if self.stopped.pop(part, None) is not None:
                self._waiting[part] = float("-inf")
        self._show()

    async def _write_stamps(self, parts: Collection[int]) -> list[Claim]:
        """A2: one short transaction each. Those for which there was no time are claimable still."""
        claims = []
        generation, loop = self.generation, asyncio.get_running_loop()
        until = loop.time() + _CLAIMS_SECONDS_MAX
        for part in parts:
            if loop.time() > until:
                break
            try:
                async with self.transaction:
                    if generation != self.generation:
                        return []
                    claims.append(await self._store.claim(part, stamp=self.new_stamp(), owner=self._owner))
            except StoreUnavailable as error:
                log.warning("claim_failed", part=part, error=str(error))
                self._retry_all(generation, [part])
                continue
            crash_point("engine.a2_claimed")
        return claims

    async def _open(self, claim: Claim, checked: Checked, generation: int) -> Partition | None:
        part = claim.lease.part
        if checked.stop_reason is not None and generation == self.generation:
            await self._note_stop(part, claim.lease.stamp, checked.stop_reason)
            return None
        try:
            plans = await self._catalog.plan_set(claim.adopted)
        except StoreUnavailable:
            self._retry_all(generation, [part])
            return None
        if generation != self.generation:
            return None
        self._names |= claim.names
        partition = Partition(
            lease=replace(claim.lease, next_offset=checked.next_offset),
            adopted={one.plan: one for one in claim.adopted},
            plans=plans,
            accounts=AccountCache(self._accounts_cached_max),
            names=self._names,
            # The owner before may have decided the next record, if that is a tick, for some of its accounts.
            midway=bool(claim.lease.sweep_after) or (checked.waiting and claim.lease.last_append_ms is not None),
            # What lies before the log's beginning comes no more.
            tombstones={one: at for one, at in claim.tombstones.items() if at >= checked.begins_at},
            notices={one.seq: pseudonym(one.account_id) for one in claim.notices},
        )
        self.held[part] = partition
        del self._waiting[part]
        self._share_cache()
        lease = claim.lease
        self._relay.start(part, acked_seq=lease.published_seq, out_seq=lease.out_seq, ledger_ms=lease.ledger_ms)
        log.info("partition_claimed", part=part, next_offset=checked.next_offset, out_seq=claim.lease.out_seq)
        return partition

    async def _note_stop(self, part: int, stamp: UUID, reason: str) -> None:
        log.error("partition_stopped", part=part, reason=reason)
        self._waiting.pop(part, None)
        self.stopped[part] = reason
        with suppress(StoreUnavailable):
            await self._store.stop_partition(part, stamp=stamp, reason=reason)

    def _retry_all(self, generation: int, parts: Iterable[int]) -> None:
        if generation == self.generation:
            for part in parts:
                self._retry_later(part)

    def _retry_later(self, part: int) -> None:
        failures = self._failures[part] = self._failures.get(part, 0) + 1
        wait = min(self._heartbeat_seconds * 2 ** (failures - 1), _RETRY_SECONDS_MAX)
        self._waiting[part] = asyncio.get_running_loop().time() + wait * (1 + random.random() / 2)

    def _forget(self, part: int) -> None:
        del self.held[part]
        self._relay.stop(part)

    def _share_cache(self) -> None:
        for partition in self.held.values():
            partition.accounts.accounts_max = max(1, self._accounts_cached_max // len(self.held))

    def _show(self) -> None:
        self._metrics.assigned.set(len(self.held))
        for reason in STOPS:
            self._metrics.stopped.labels(reason).set(sum(one == reason for one in self.stopped.values()))
