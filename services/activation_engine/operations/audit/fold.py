"""The log of one partition folded afresh, by the plain fold and by nothing else, with the ledger checked on the way."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from services.activation_engine.decoder import Poison, Record, TickInput, decode_record
from services.activation_engine.domain.event import InvalidBody
from services.activation_engine.domain.plain_fold import Oracle, Tick
from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.signals import CandidateSignal
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.snapshot import Snapshot
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.job_runner import Progress
from services.activation_engine.plan_adoption import live_plan
from services.activation_engine.plans.registry import RETIRED
from services.activation_engine.store import Adoption

# So many sets of plan versions may wait for one sweep, which every tick that decides something ends.
_SETS_MAX = 8


class LogIncomplete(Exception):
    """The log does not reach from offset 0 to what was applied; the message says why."""


def live_set(adoptions: Iterable[Adoption], plans: Mapping[tuple[str, int], Plan]) -> PlanSet:
    """What judges a partition that adopted these versions, in this order."""
    newest = {one.plan: one for one in adoptions}
    live = [one for one in newest.values() if one.policy != RETIRED]
    return PlanSet.of(live_plan(one, plans[one.plan, one.version]) for one in live)


def plan_sets(snapshot: Snapshot, plans: Mapping[tuple[str, int], Plan]) -> Sequence[PlanSet]:
    """By which an account's rows may have been made, the newest first: during a sweep also those that it replaces."""
    adoptions = snapshot.adoptions
    places = sorted({one.from_offset for one in adoptions}, reverse=True)[: _SETS_MAX if snapshot.sweeping else 1]
    return [live_set([one for one in adoptions if one.from_offset <= place], plans) for place in places or [0]]


class Start(NamedTuple):
    """Where a fold begins: at the first record, or at a later tick. Then holes are taken from what is stored, and
    accounts that `leaves_out` names are not folded."""

    offset: int = 0
    leaves_out: Callable[[str], bool] = lambda _: False


class PartitionFold:
    """Grows with every `advance`."""

    def __init__(self, log: EventsLog, part: int, *, start: Start, pacer: Pacer, progress: Progress) -> None:
        self.oracle = Oracle()
        self.next_offset = start.offset
        self.part = part
        self._start = start
        self._log = log
        self._pacer = pacer
        self._progress = progress
        self._adopted = 0

    async def advance(
        self, snapshot: Snapshot, plans: Mapping[tuple[str, int], Plan]
    ) -> AsyncIterator[list[CandidateSignal]]:
        """Fold on up to the snapshot's place; yields the signals that are owed, oldest first, some at a time. Raises
        LogIncomplete, LogUnreachable."""
        if self.next_offset >= snapshot.next_offset:
            return
        reading = self._log.read(self.part, self.next_offset, snapshot.next_offset)
        async with contextlib.aclosing(reading) as chunks:
            async for records in chunks:
                owed: list[CandidateSignal] = []
                for record in records:
                    owed += await self._take(record, snapshot, plans)
                    await self._pacer.rest_if_due()
                self._progress.done += len(records)
                yield owed

    async def half_decided(self, snapshot: Snapshot, plans: Mapping[tuple[str, int], Plan]) -> Sequence[PlanSet | Tick]:
        """What the snapshot may have in some accounts and not in others: a tick that follows, with the plan versions
        that go live before it. A tick with much to look at is decided by several transactions."""
        offset = self.next_offset
        if offset >= (await self._log.bounds(self.part)).end:
            return ()
        async with contextlib.aclosing(self._log.read(self.part, offset, offset + 1)) as chunks:
            async for (record,) in chunks:
                given = decode_record(record)
                if isinstance(given, TickInput):
                    return (*self._going_live(offset, snapshot, plans), _tick(record, given))
        return ()

    async def _take(
        self, record: Record, snapshot: Snapshot, plans: Mapping[tuple[str, int], Plan]
    ) -> list[CandidateSignal]:
        if record.offset != self.next_offset:
            raise LogIncomplete(f"the log has no record {self.next_offset}; it goes on at {record.offset}")
        for newer in self._going_live(record.offset, snapshot, plans):
            await self._at_leisure(newer)
        self._adopted = _adopted_by(record.offset, snapshot)
        given = decode_record(record)
        if isinstance(given, TickInput):
            self.oracle.holes = snapshot.holes if self._start.offset else None
            await self._at_leisure(_tick(record, given))
        elif (
            not isinstance(given, Poison)
            and record.offset not in snapshot.refused
            and not self._start.leaves_out(given.account_id)
        ):
            # A body that cannot be read is refused by the engine in the same place.
            with contextlib.suppress(InvalidBody):
                self.oracle.take(given)
        self.next_offset = record.offset + 1
        # The fold itself does not need them any more, and there may be millions.
        owed, self.oracle.signals = self.oracle.signals, []
        return owed

    async def _at_leisure(self, given: PlanSet | Tick) -> None:
        """Take in what may be of consequence for every account."""
        for _ in self.oracle.taking(given):
            await self._pacer.rest_if_due()

    def _going_live(self, offset: int, snapshot: Snapshot, plans: Mapping[tuple[str, int], Plan]) -> Sequence[PlanSet]:
        """What judges from this record on, if that is another set than before."""
        due = _adopted_by(offset, snapshot)
        return [live_set(snapshot.adoptions[:due], plans)] if due > self._adopted else []


def _adopted_by(offset: int, snapshot: Snapshot) -> int:
    return sum(one.from_offset <= offset for one in snapshot.adoptions)


def _tick(record: Record, given: TickInput) -> Tick:
    return Tick(record.timestamp, given.sent_at_ms, given.last_event_at_ms)
