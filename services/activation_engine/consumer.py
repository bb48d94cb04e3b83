"""The engine's one loop: claim what was assigned, poll, hand batches to the transactions, and never lose its place.

The assignment of partitions is active before the callback runs, so records from a wrong place may arrive: offsets are
compared always, and trusted never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.activation_engine.intake_buffer import IntakeBuffer
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import LogProbe, LogUnreachable
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.relay import Relay
from services.activation_engine.transactions import Transactions
from services.runtime.crash_points import crash_point
from services.runtime.group import GroupMember
from services.runtime.kafka import BrokerTrouble
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

# Batches of different partitions under way at once: one is made while the other commits.
_BATCHES_MAX = 2
_ERROR_PAUSE_SECONDS = 0.5
# Errors that pass are waited out, for a new consumer makes the whole group rebalance.
_FAILING_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at once, and how long to wait for it."""

    batch_events_max: int
    poll_wait_ms: int
    unpublished_signals_max: int
    rebalance_timeout_seconds: float


class Consumer:
    """`new_consumer` makes Kafka clients that are neither started nor subscribed; a hung one is replaced."""

    def __init__(
        self,
        *,
        new_consumer: Callable[[], Any],
        topic: str,
        leases: Leases,
        probe: LogProbe,
        transactions: Transactions,
        relay: Relay,
        metrics: EngineMetrics,
        pace: Pace,
    ) -> None:
        self._leases = leases
        self._probe = probe
        self._transactions = transactions
        self._relay = relay
        self._metrics = metrics
        self._pace = pace
        self._member = GroupMember(
            new_consumer=new_consumer, topic=topic, on_assigned=self._on_assigned, on_revoked=self._on_revoked
        )
        self._buffers: dict[int, IntakeBuffer] = {}
        self._rotation = 0
        # Batches under way, each with its partitions.
        self._under_way: dict[asyncio.Task[None], Collection[int]] = {}
        self._holding = False
        self._rebuild = False
        self.ended = asyncio.Event()

    async def run(self, stopping: Stopping, *, beat: Callable[[], None]) -> None:
        """Worker: consume until stopped; batches under way are finished."""
        failing_since: float | None = None
        try:
            async with asyncio.TaskGroup() as batches:
                while not stopping:
                    beat()
                    try:
                        await self._turn(batches)
                        failing_since = None
                    except (BrokerTrouble, OSError) as error:
                        log.warning("poll_failed", error=type(error).__name__, reason=str(error)[:200])
                        now = asyncio.get_running_loop().time()
                        failing_since = now if failing_since is None else failing_since
                        if now - failing_since >= _FAILING_SECONDS_MAX:
                            # Whatever ended one of the client's own tasks, it starts none anew. The watchdog does not
                            # see it: if it ended in a rebalance, no partition is held that could stand.
                            self.rebuild()
                            failing_since = now
                        await stopping.sleep(_ERROR_PAUSE_SECONDS)
        finally:
            self.ended.set()

    async def close(self) -> None:
        """Leave the group."""
        await self._member.leave()

    def rebuild(self) -> None:
        """Replace the Kafka consumer at the next turn."""
        self._rebuild = True

    @property
    def paused(self) -> bool:
        """Whether intake waits for the relay."""
        return self._holding

    async def commit_offsets(self, stopping: Stopping, *, every_seconds: float) -> None:
        """Worker, B7: tell Kafka's lag tools how far we are. Nothing of ours reads it, so failures do not matter."""
        while not await stopping.sleep(every_seconds):
            if offsets := {part: held.lease.next_offset for part, held in self._leases.held.items()}:
                await self._member.commit(offsets)
                crash_point("engine.b7_offsets_committed")

    async def _on_revoked(self, _: Collection[int]) -> None:
        await self._leases.revoke(within_seconds=self._pace.rebalance_timeout_seconds / 2)
        crash_point("engine.revoked")

    def _on_assigned(self, parts: Collection[int]) -> None:
        self._leases.assign(parts)
        self._metrics.rebalances.inc()
        crash_point("engine.a1_assigned")

    async def _turn(self, batches: asyncio.TaskGroup) -> None:
        """One round of the loop."""
        if self._rebuild or not self._member.joined:
            await self._connect()
        await self._claim()
        self._drop_evicted()
        self._give_way_to_relay()
        await self._poll()
        # Of a rebalance that never ends: what is held, and stands still, is the watchdog's.
        if await self._member.hangs({}):
            self.rebuild()
        begun = not self._holding and self._begin(batches)
        if self._under_way and (not begun or len(self._under_way) == _BATCHES_MAX):
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _connect(self) -> None:
        # First, because leaving tells nobody that the partitions are gone, and batches of them may be under way.
        await self._leases.revoke(within_seconds=self._pace.rebalance_timeout_seconds / 2)
        await self._member.leave()
        # It may have told of partitions meanwhile, which are others' from now on.
        self._leases.assign(())
        self._rebuild = False
        self._buffers.clear()
        await self._member.join()

    async def _claim(self) -> None:
        claimable = self._leases.claimable()
        if not claimable:
            return
        for partition in await self._leases.claim(claimable):
            if self._member.seek(partition.part, partition.lease.next_offset):
                self._buffers[partition.part] = IntakeBuffer(partition.lease.next_offset)
                if not self._holding:
                    self._member.resume([partition.part])

    def _drop_evicted(self) -> None:
        """Forget what was fetched for partitions that are not held any more, and fetch no more of them."""
        gone = [part for part in self._buffers if part not in self._leases.held]
        for part in gone:
            del self._buffers[part]
        self._member.pause(gone)

    def _give_way_to_relay(self) -> None:
        """Take nothing in while too many signals wait for Kafka; polling goes on, or the group would expel us."""
        unpublished, bound = self._relay.unpublished(), self._pace.unpublished_signals_max
        if not self._holding and unpublished > bound:
            log.warning("intake_paused", unpublished=unpublished)
            self._holding = True
            self._member.pause(self._buffers)
        elif self._holding and unpublished <= bound // 2:
            log.info("intake_resumed", unpublished=unpublished)
            self._holding = False
            self._member.resume(self._buffers)

    async def _poll(self) -> None:
        """B1: everything that was fetched, so that the next fetch can go out."""
        enough = _BATCHES_MAX * self._pace.batch_events_max
        if sum(map(len, self._buffers.values())) >= enough and not self._holding:
            return
        busy = self._under_way or (any(self._buffers.values()) and not self._holding)
        wait_ms = 0 if busy else self._pace.poll_wait_ms
        polled = await self._member.poll(wait_ms)
        crash_point("engine.b1_polled")
        for part, records in polled.items():
            await self._take(part, records)

    async def _take(self, part: int, records: Sequence[Any]) -> None:
        buffer = self._buffers.get(part)
        if buffer is not None and part in self._leases.held and not buffer.offer(records):
            # Under the stamp that its batch leaves behind.
            batch = {task for task, parts in self._under_way.items() if part in parts}
            if batch:
                await asyncio.wait(batch)
            if part in self._leases.held:
                await self._find_place(part, buffer, records[0].offset)

    async def _find_place(self, part: int, buffer: IntakeBuffer, found: int) -> None:
        """Records came from elsewhere than expected. Unless the log has changed under us, ask again for the place."""
        partition = self._leases.held[part]
        log.warning("unexpected_offset", part=part, expected=buffer.expected, found=found)
        try:
            checked = (await self._probe.check([partition.lease]))[part]
        except LogUnreachable:
            checked = None
        if self._leases.held.get(part) is not partition:
            return
        if checked is not None and checked.stop_reason is not None:
            await self._leases.stop(part, checked.stop_reason)
            self._drop_evicted()
            return
        if checked is not None:
            # Only a log that was found to hold the place may leave it out; else retention would be jumped over.
            buffer.sought = buffer.expected
        self._member.seek(part, buffer.expected)

    def _begin(self, batches: asyncio.TaskGroup) -> bool:
        """Begin with a batch of partitions of which none is under way; whether there was anything to do."""
        taken = self._next_batch()
        if taken:
            task = batches.create_task(self._apply(taken))
            self._under_way[task] = taken.keys()
            task.add_done_callback(self._under_way.pop)
        return bool(taken)

    def _next_batch(self) -> dict[int, list[Any]]:
        """Records, shared fairly among the partitions that have some, of at most half of all partitions, so that the
        others make the next batch; no records of a partition that only has a plan version to adopt."""
        busy = {part for parts in self._under_way.values() for part in parts}
        free = [part for part in self._buffers if part not in busy and part in self._leases.held]
        waiting = [part for part in free if len(self._buffers[part])]
        taken: dict[int, list[Any]] = {part: [] for part in self._transactions.adopting() if part in free}
        if waiting:
            self._rotation = (self._rotation + 1) % len(waiting)
            chosen = (waiting[self._rotation :] + waiting[: self._rotation])[: -(-len(self._buffers) // _BATCHES_MAX)]
            room = self._pace.batch_events_max
            for left, part in enumerate(chosen):
                taken[part] = self._buffers[part].peek(max(1, room // (len(chosen) - left)))
                room -= len(taken[part])
        return taken

    async def _apply(self, taken: Mapping[int, list[Any]]) -> None:
        """Hand over one batch, and drop from the buffers what was consumed of it."""
        buffers = {part: (self._buffers[part], self._buffers[part].redelivered) for part in taken}
        consumed = await self._transactions.apply(taken, {part: count for part, (_, count) in buffers.items()})
        for part, count in consumed.items():
            buffer, redelivered = buffers[part]
            buffer.consume(count)
            buffer.redelivered -= redelivered
        self._show_lag()

    def _show_lag(self) -> None:
        held = self._leases.held.items()
        self._metrics.show_lag({part: (partition.lease, self._member.end_of(part)) for part, partition in held})
