"""The relay, the only publisher of signals: from the ledger to Kafka, in order, one batch per partition at a time.

It repeats what it cannot know to have arrived; subscribers recognise a signal by its id.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from aiokafka.errors import KafkaError

from schemas.signals import LEDGER_HEADER, RECEIVED_HEADER, SEQUENCE_HEADER, TRACE_HEADER
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.store import LedgerRow, Store, StoreUnavailable
from services.runtime.bounded import ended
from services.runtime.crash_points import crash_point
from services.runtime.producers import ProducerKeeper

log = structlog.get_logger(__name__)

# Below the broker's limit on a batch, with room for keys and headers.
_BATCH_BYTES_MAX = 512 * 1024
_ACK_SECONDS = 10.0
_RETRY_SECONDS = 0.5
# What a producer has not delivered by then is in the ledger.
_STOP_SECONDS = 1.0


@dataclass(slots=True)
class _Repeat:
    """Signals to send again: those above `acked_seq` up to `to_seq`."""

    acked_seq: int
    to_seq: int


@dataclass(slots=True, eq=False)
class _Lane:
    """One claimed partition: what is in the ledger, up to where Kafka has acknowledged, and what is wanted again."""

    part: int
    acked_seq: int
    out_seq: int
    ledger_ms: int
    busy: bool = False
    repeats: dict[UUID, _Repeat] = field(default_factory=dict)

    def wanted_again(self) -> _Repeat | None:
        """The first range that is not sent again wholly."""
        return next((one for one in self.repeats.values() if one.acked_seq < one.to_seq), None)

    def has_work(self) -> bool:
        """Whether there is anything to send."""
        return self.acked_seq < self.out_seq or self.wanted_again() is not None


class Relay:
    """After a failed batch the producer is replaced, because what it still holds may land later than what follows."""

    def __init__(
        self, *, store: Store, keeper: ProducerKeeper, topic: str, metrics: EngineMetrics, rows_max: int
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._topic = topic
        self._metrics = metrics
        self._rows_max = rows_max
        self._lanes: dict[int, _Lane] = {}
        self._wake = asyncio.Event()
        self._acked = asyncio.Event()

    def start(self, part: int, *, acked_seq: int, out_seq: int, ledger_ms: int) -> None:
        """Publish this partition's ledger, which began at `ledger_ms`, above `acked_seq`."""
        self._lanes[part] = _Lane(part, acked_seq, out_seq, ledger_ms)
        self._wake.set()

    def stop(self, part: int) -> None:
        """The partition is not ours any more; a batch under way may still land, which is harmless."""
        self._lanes.pop(part, None)

    def committed(self, part: int, out_seq: int) -> None:
        """The ledger has grown to `out_seq`."""
        lane = self._lanes.get(part)
        if lane is not None:
            lane.out_seq = out_seq
            self._wake.set()

    def repeat(self, part: int, wanted: Mapping[UUID, range]) -> dict[UUID, int]:
        """Have these numbers of the partition's ledger sent again, each range under a name, and no others. Ask again
        for how far each is: the last number acknowledged again. Empty when the partition is not ours."""
        lane = self._lanes.get(part)
        if lane is None:
            return {}
        lane.repeats = {
            name: lane.repeats.get(name) or _Repeat(numbers.start - 1, numbers.stop - 1)
            for name, numbers in wanted.items()
        }
        if lane.wanted_again() is not None:
            self._wake.set()
        return {name: one.acked_seq for name, one in lane.repeats.items()}

    def acked_seq(self, part: int) -> int:
        """Up to where the partition's signals are known to be on Kafka."""
        lane = self._lanes.get(part)
        return 0 if lane is None else lane.acked_seq

    def unpublished(self) -> int:
        """Signals that are not known to be on Kafka."""
        return sum(lane.out_seq - lane.acked_seq for lane in self._lanes.values())

    @property
    def connected(self) -> bool:
        """Whether a producer runs."""
        return self._keeper.current is not None

    async def flush(self) -> None:
        """Return when everything is acknowledged; bound the wait from outside."""
        while self.unpublished():
            self._acked.clear()
            await self._acked.wait()

    async def run(self) -> None:
        """Worker: publish until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keeper.run())
                while True:
                    producer = await self._keeper.working()
                    for lane in list(self._lanes.values()):
                        if not lane.busy and lane.has_work():
                            lane.busy = True
                            tasks.create_task(self._publish(lane, producer))
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            # What is left of it ends with the process.
            await ended(self._keeper.stop(within_seconds=_STOP_SECONDS), seconds=_STOP_SECONDS)

    async def _publish(self, lane: _Lane, producer: Any) -> None:
        """Publish what the lane's ledger has; at a failure give way for a moment and start at the first unacked row."""
        try:
            while self._keeper.current is producer and self._lanes.get(lane.part) is lane and lane.has_work():
                # New ones first, a batch of each in turn: a long repetition holds nobody up.
                if lane.acked_seq < lane.out_seq:
                    # Not beyond what is known to be committed: a commit whose answer is under way is not told yet.
                    sent = await self._send_next(producer, lane, lane.acked_seq, lane.out_seq)
                    if sent is None:
                        self._give_up(lane)
                        return
                    lane.acked_seq = sent
                    self._acked.set()
                again = lane.wanted_again()
                if again is not None:
                    sent = await self._send_next(producer, lane, again.acked_seq, again.to_seq)
                    again.acked_seq = again.to_seq if sent is None else sent
                crash_point("engine.relay_acked")
        except (KafkaError, TimeoutError, OSError, StoreUnavailable) as error:
            self._metrics.publish_failures.inc()
            log.warning("publish_failed", part=lane.part, after_seq=lane.acked_seq, error=type(error).__name__)
            if not isinstance(error, StoreUnavailable):
                # What it delivers yet can only repeat what the next one begins with.
                self._keeper.give_up(producer, type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS * (1 + random.random()))
        finally:
            lane.busy = False
            self._wake.set()

    async def _send_next(self, producer: Any, lane: _Lane, after: int, to: int) -> int | None:
        """Send the next signals above `after` and up to `to`; the number of the last that was acknowledged, None when
        the ledger has none."""
        rows_max = min(self._rows_max, to - after)
        rows = await self._store.read_ledger(lane.part, after=after, rows_max=rows_max, bytes_max=_BATCH_BYTES_MAX)
        if not rows:
            return None
        crash_point("engine.relay_read")
        return await self._send(producer, lane, rows)

    def _give_up(self, lane: _Lane) -> None:
        """A failover lost rows that were committed; were they waited for, intake could stand still for ever. The next
        transaction finds that its stamp is lost as well, and the partition is claimed again."""
        log.warning("ledger_lost", part=lane.part, after_seq=lane.acked_seq, expected_seq=lane.out_seq)
        if self._lanes.get(lane.part) is lane:
            self.stop(lane.part)
            self._acked.set()

    async def _send(self, producer: Any, lane: _Lane, rows: Sequence[LedgerRow]) -> int:
        """Send as many rows as one batch holds; the number of the last, once it is acknowledged."""
        batch = producer.create_batch()
        sent, ledger = 0, (LEDGER_HEADER, str(lane.ledger_ms).encode())
        for row in rows:
            headers = [(SEQUENCE_HEADER, str(row.seq).encode()), ledger]
            if row.received_ms is not None:
                headers.append((RECEIVED_HEADER, str(row.received_ms).encode()))
            if row.traceparent is not None:
                headers.append((TRACE_HEADER, row.traceparent.encode()))
            # An erased signal keeps its number, so that subscribers see no gap.
            value = b"" if row.payload is None else row.payload
            if batch.append(key=row.account_id.encode(), value=value, timestamp=None, headers=headers) is None:
                break
            sent = row.seq
        assert sent, f"a signal of partition {lane.part} exceeds a batch"
        batch.close()
        async with asyncio.timeout(_ACK_SECONDS):
            acknowledged = await producer.send_batch(batch, self._topic, partition=lane.part)
            crash_point("engine.relay_sent")
            await acknowledged
        return sent
