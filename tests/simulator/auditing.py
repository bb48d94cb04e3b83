"""The audit of a simulated world, as of any of its commits: what is stored at that moment, or as it moves on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from services.activation_engine.commit_plan import Outward
from services.activation_engine.domain.plan import Plan
from services.activation_engine.operations.audit.audit import Audit
from services.activation_engine.operations.audit.snapshot import Snapshot, StoredRow
from services.activation_engine.operations.audit.stored import Recorded
from services.activation_engine.operations.events_log import Bounds
from services.activation_engine.operations.job_runner import Progress
from services.activation_engine.plans.loader import plan_from_content
from services.activation_engine.plans.registry import RETIRED
from tests.fakes.memory_store import MemoryStore
from tests.simulator.log import LogRecord
from tests.simulator.workload import EVENTS
from tests.simulator.world import World

_REFUSED = {"wrong_partition", "rows_refused", "fold_failed"}
_CHUNK_RECORDS = 7


class Moment(NamedTuple):
    """What was stored when a commit was applied, and how long the log of each partition was."""

    store: MemoryStore
    ends: Sequence[int]


def moments_of(world: World) -> list[Moment]:
    """Grows with every commit of the world."""
    moments: list[Moment] = []
    logs = world.broker.logs[EVENTS]
    world.database.watch.append(lambda _: moments.append(Moment(world.store.copy(), [len(log) for log in logs])))
    return moments


class MovingWorld:
    """A world as an audit sees it that begins at one of its moments: after each question it may have moved on. Of each
    log what lies before `begins` was cut."""

    topic = EVENTS

    def __init__(
        self, moments: Sequence[Moment], logs: Sequence[Sequence[LogRecord]], begins: Sequence[int], dice: Random
    ) -> None:
        self._moments = moments
        self._logs = logs
        self._begins = begins
        self._dice = dice
        self._at = 0

    def _now(self) -> Moment:
        now = self._moments[self._at]
        self._at = min(self._at + self._dice.choice([0, 0, 1, 3]), len(self._moments) - 1)
        return now

    async def places(self) -> list[tuple[int, int]]:
        """All partitions."""
        return sorted((part, lease.next_offset) for part, lease in self._now().store.leases.items())

    async def snapshot(self, part: int, *, with_accounts: bool = True) -> Snapshot:
        """The partition as of now."""
        store = self._now().store
        lease = store.leases[part]
        adopted = [one for one in store.adopted if one.part == part]
        return Snapshot(
            part,
            lease.source,
            lease.next_offset,
            lease.out_seq,
            sorted(adopted, key=lambda one: (one.from_offset, one.plan, one.version)),
            frozenset(one.offset for one in store.dead_letters if one.part == part and one.reason in _REFUSED),
            lease.sweep_after is not None,
            resumed=False,
            holes=lease.clock.holes,
            erased=frozenset(erased for erased, (on, _) in store.tombstones.items() if on == part),
            accounts=_accounts(store, part) if with_accounts else {},
        )

    async def plans(self, snapshot: Snapshot) -> Mapping[tuple[str, int], Plan]:
        """The versions that it judged by."""
        versions = self._now().store.versions
        wanted = [(one.plan, one.version) for one in snapshot.adoptions if one.policy != RETIRED]
        return {key: plan_from_content(dict(versions[key][1])).plan for key in wanted}

    async def signals(self, ids: Collection[str]) -> list[Recorded]:
        """The rows with these ids."""
        rows = [row for rows in self._now().store.ledger.values() for row in rows if row.id in set(ids)]
        return [Recorded(row.part, row.seq, row.id, row.account_id, row.type, row.payload) for row in rows]

    async def ledger(self, part: int, *, after: int, to: int, limit: int) -> Sequence[Recorded]:
        """The rows with these numbers."""
        rows = [row for row in self._now().store.ledger.get(part, []) if after < row.seq <= to][:limit]
        return [Recorded(row.part, row.seq, row.id, row.account_id, row.type) for row in rows]

    async def bounds(self, part: int) -> Bounds:
        """Where the log begins and ends now."""
        return Bounds(self._begins[part], self._now().ends[part])

    async def read(self, part: int, start: int, end: int) -> AsyncIterator[list[LogRecord]]:
        """The records, a few at a time."""
        first = max(start, self._begins[part])
        for at in range(first, end, _CHUNK_RECORDS):
            yield list(self._logs[part][at : min(end, at + _CHUNK_RECORDS)])


def _accounts(store: MemoryStore, part: int) -> dict[str, StoredRow]:
    rows = {row.account_id: row for row in store.accounts.values() if row.part == part}
    found = {
        account_id: StoredRow(row.next_check_ms, row.facts, row.name, row.owner, row.last_event, {**row.active_days})
        for account_id, row in sorted(rows.items())
    }
    for (account_id, plan), row in store.plans.items():
        if account_id in found:
            found[account_id].plans[plan] = row
    return found


async def audited(world: MovingWorld) -> dict[str, Any]:
    """The result of an audit."""
    shown: list[int] = []
    moving: Any = world
    audit = Audit(moving, moving, outward=Outward(), show=shown.append)
    return await audit.run(Progress())
