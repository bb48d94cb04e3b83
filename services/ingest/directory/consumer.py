"""The resolver's one loop: claim what the group assigned, poll, apply; after any trouble claim again and go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.delivery import BrokerUnavailable
from services.ingest.directory.resolver import Resolver
from services.ingest.directory.store import Claim, DirectoryStore, Superseded
from services.ingest.inflight import Overloaded
from services.ingest.metrics import IngestMetrics
from services.runtime.group import GroupMember
from services.runtime.kafka import BrokerTrouble
from services.runtime.postgres import is_transient
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

_POLL_MS = 200
_BATCH_EVENTS_MAX = 200
_PAUSE_SECONDS = 0.5
_SWEEP_SECONDS = 60.0


class ResolverConsumer:
    """`new_consumer` makes Kafka clients that are neither started nor subscribed; one that fails or hangs is replaced.
    `beat` is called while the loop goes on."""

    def __init__(
        self,
        *,
        new_consumer: Callable[[], Any],
        beat: Callable[[], None],
        topic: str,
        store: DirectoryStore,
        resolver: Resolver,
        metrics: IngestMetrics,
    ) -> None:
        self._beat = beat
        self._store = store
        self._resolver = resolver
        self._metrics = metrics
        self._member = GroupMember(
            new_consumer=new_consumer, topic=topic, on_assigned=self._on_assigned, on_revoked=self._on_revoked
        )
        self._claims: dict[int, Claim] = {}
        # How far the log of a partition reached when it was claimed.
        self._claimed_up_to: dict[int, int] = {}
        self._swept: set[int] = set()
        # Partitions of the last assignment, of which metrics tell.
        self._told_of: set[int] = set()
        self._odd: dict[int, tuple[int, int]] = {}
        self._swept_at = time.monotonic()
        self.ended = asyncio.Event()

    async def run(self, stopping: Stopping) -> None:
        """Worker: resolve until stopped; the batch under way is finished."""
        troubled = False
        try:
            while not stopping:
                try:
                    await self._turn()
                    troubled = False
                except (BrokerTrouble, SQLAlchemyError, OSError, BrokerUnavailable, Overloaded) as error:
                    if isinstance(error, SQLAlchemyError) and not is_transient(error):
                        raise
                    if not troubled:
                        log.warning("resolver_waits", error=type(error).__name__)
                    troubled = True
                    self._claims.clear()
                    self._member.forgive()
                    if isinstance(error, BrokerTrouble):
                        await self._member.leave()
                    await stopping.sleep(_PAUSE_SECONDS)
        finally:
            await self._member.leave()
            self.ended.set()

    async def _on_revoked(self, parts: Collection[int]) -> None:
        """Write no more on them. A batch under way may still be written, unless somebody else has claimed since."""
        for part in parts:
            self._claims.pop(part, None)
            # Whoever has it next tells of it; what was true here would stay for as long as this process.
            self._metrics.forget_partition(part)

    def _on_assigned(self, parts: Collection[int]) -> None:
        """How late they are is not known yet: count from now. Nothing else is ours, also if it was claimed while the
        group rebalanced, or of a client that was left."""
        self._claims.clear()
        for part in self._told_of.difference(parts):
            self._metrics.forget_partition(part)
        self._told_of = set(parts)
        for part in parts:
            self._metrics.decided_until(part, time.time() * 1000)

    async def _turn(self) -> None:
        self._beat()
        if not self._member.joined:
            self._claims.clear()
            await self._member.join()
        for part in self._member.assigned():
            if part not in self._claims:
                await self._claim(part)
        for part, records in (await self._member.poll(_POLL_MS, records_max=_BATCH_EVENTS_MAX)).items():
            await self._apply(part, records)
        await self._sweep()
        self._show_lag()
        if await self._member.hangs({part: claim.next_offset for part, claim in self._claims.items()}):
            await self._member.leave()

    async def _claim(self, part: int) -> None:
        self._beat()
        claim = await self._store.claim(part)
        begins, ends = (await self._member.bounds([part], beat=self._beat))[part]
        if not begins <= claim.next_offset <= ends:
            if claim.next_offset:
                # Nothing that is still there is skipped: deciding an event again gives the same record.
                log.error("unresolved_log_changed", part=part, expected=claim.next_offset, begins=begins)
            claim = claim._replace(next_offset=begins)
        if not self._member.read_from(part, claim.next_offset):
            return
        self._claims[part] = claim
        self._claimed_up_to[part] = ends
        self._swept.discard(part)
        await self._guarded(self._resolver.release(claim), part)

    async def _apply(self, part: int, records: Sequence[Any]) -> None:
        claim = self._claims.get(part)
        if claim is None:
            return
        found = records[0].offset
        if found != claim.next_offset and self._odd.get(part) != (claim.next_offset, found):
            # From before the claim, or the log is another one: claiming again finds the place. A second time it is a
            # gap in the log.
            self._odd[part] = (claim.next_offset, found)
            log.warning("unexpected_offset", part=part, expected=claim.next_offset, found=found)
            self._lose(part)
            return
        try:
            moved = await self._resolver.apply(claim, records)
        except Superseded:
            self._lose(part)
            return
        if self._claims.get(part) is claim:
            self._claims[part] = moved
            self._metrics.decided_until(part, records[-1].timestamp)

    async def _sweep(self) -> None:
        """End waits that were too long, once a minute, but not before all that was there at the claim is decided.

        An owner of before may have produced a batch and not written it: it must find as many waiting as there were.
        """
        if time.monotonic() - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self._swept.clear()
        for part, claim in list(self._claims.items()):
            decided = claim.next_offset >= self._claimed_up_to[part]
            if decided and part not in self._swept and self._claims.get(part) is claim:
                self._beat()
                self._swept.add(part)
                await self._guarded(self._resolver.expire(claim), part)
                if part not in self._told_of:
                    # It was given away while what waits was counted.
                    self._metrics.forget_partition(part)

    async def _guarded(self, work: Awaitable[None], part: int) -> None:
        try:
            await work
        except Superseded:
            self._lose(part)

    def _lose(self, part: int) -> None:
        """Claim it again, if it is still ours."""
        self._claims.pop(part, None)
        self._member.pause([part])

    def _show_lag(self) -> None:
        for part, claim in self._claims.items():
            if (end := self._member.end_of(part)) is not None:
                lag = max(0, end - claim.next_offset)
                self._metrics.resolver_lag.labels(str(part)).set(lag)
                if not lag:
                    # As of the broker's newest answer: a client that hangs gets none, and the partition ages.
                    self._metrics.decided_until(part, self._member.heard_at_ms(part))
