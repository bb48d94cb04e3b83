"""Writes what owners of partitions write: leases, adopted plan versions, accounts and their signals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine import statements
from services.activation_engine.commit_plan import account_row
from services.activation_engine.domain.account import AccountState
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.domain.rows import plan_rows
from services.activation_engine.domain.signals import CandidateSignal, number, to_payload
from services.activation_engine.domain.ticking import apply_tick
from services.activation_engine.domain.timers import PartitionClock
from services.activation_engine.domain.transitions import apply_event
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.store import NameSeen

PARTITIONS = 3
DAY_MS = 86_400_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z

PLAN_TEXT = """plan: b2b-saas
title: To the first output
start: [first_event]
segments:
  smb: {pace: 1, window: 45d}
  big: {pace: 2, window: 90d}
  else: smb
milestones:
  first_output: {due: week 2, needs: [first_data], when: report.generated}
  first_data:   {due: week 1, when: data.ingested}
first_value: first_output
stalled: {overdue: 7d, quiet: 14d}
"""


class PartitionRows:
    """The database as its owners leave it. Every partition judges by what `live` holds."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self.live: dict[str, LivePlan] = {}
        self.clock = PartitionClock(clock_ms=START_MS)
        self._sequences = dict.fromkeys(range(PARTITIONS), 0)

    @property
    def plans(self) -> PlanSet:
        """What is live."""
        return PlanSet.of(self.live.values())

    async def claim_all(self) -> None:
        """Rows for all partitions, at offset 0."""
        rows = [{"part": part, "stamp": uuid4(), "source": "test", "owner": "engine-1"} for part in range(PARTITIONS)]
        await self._insert("partition_lease", [{**row, "clock_ms": START_MS, "next_offset": 0} for row in rows])

    async def move_lease(self, part: int, **values: object) -> None:
        """Change columns of one lease."""
        await self._update("partition_lease", "part", part, values)

    async def move_plan(self, plan: str, **values: object) -> None:
        """Change columns of what all partitions have adopted of a plan."""
        await self._update("partition_plan", "plan", plan, values)

    async def publish(
        self, text: str = PLAN_TEXT, *, version: int = 1, parts: Iterable[int] = range(PARTITIONS)
    ) -> None:
        """Store a plan version, adopted by these partitions."""
        checked = load_plan(text)
        plan = checked.plan.id
        self.live[plan] = LivePlan(checked.plan, version)
        row = {"plan": plan, "version": version, "hash": checked.hash, "title": checked.title, "policy": "silent"}
        await self._insert("plan_version", [{**row, "content": json.dumps(checked.content), "source": text}])
        for part in parts:
            await self.adopt(part, plan, version)

    async def end_plan(self, plan: str, *, version: int) -> None:
        """Store the version without content by which a plan ends, adopted by nobody yet."""
        row = {"plan": plan, "version": version, "hash": "", "title": "", "policy": "retired"}
        await self._insert("plan_version", [{**row, "content": "{}", "source": ""}])

    async def copy_plan(self, plan: str, names: list[str]) -> None:
        """More plans with the content of one, adopted by nobody."""
        query = sa.text(
            "INSERT INTO activation.plan_version (plan, version, hash, title, policy, content, source)"
            " SELECT name, 1, hash, title, policy, jsonb_set(CAST(content AS jsonb), '{plan}', to_jsonb(name)), source"
            " FROM activation.plan_version,"
            " unnest(CAST(:names AS text[])) AS name WHERE plan = :plan"
        )
        async with self._database.begin() as connection:
            await connection.execute(query, {"plan": plan, "names": names})

    async def adopt(self, part: int, plan: str, version: int, policy: str = "silent") -> None:
        """One partition judges by the version from now on."""
        row = {"part": part, "plan": plan, "version": version, "from_offset": 0, "live_from_ms": 0, "policy": policy}
        await self._insert("partition_plan", [row])

    @asynccontextmanager
    async def adopting(self, parts: Iterable[int] = range(PARTITIONS)) -> AsyncIterator[None]:
        """Meanwhile these partitions adopt every version that is published, as owners do."""

        async def adopt_all() -> None:
            while True:
                await self._adopt_new(list(parts))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(adopt_all())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def apply(self, account_id: str, *events: Event, part: int = 0, tick_ms: int | None = None) -> AccountState:
        """Fold the events of a new account, then a tick, and store the state and the signals."""
        state = AccountState.new(account_id, START_MS)
        signals: list[CandidateSignal] = []
        for event in events:
            signals += apply_event(state, event, self.plans, self.clock)
        if tick_ms is not None:
            self.clock = PartitionClock(clock_ms=tick_ms)
            await self.move_lease(part, clock_ms=tick_ms)
            signals += apply_tick(state, self.plans, self.clock)
        for signal in signals:
            number(state, signal)
        await self._store(state, part)
        await self.record(account_id, [msgspec.json.encode(to_payload(signal)) for signal in signals], part=part)
        return state

    async def note_name(self, name: str, count: int, *, first: float = 0, last: float = 0, part: int = 0) -> None:
        """An event name came so many times between two days after the start."""
        seen = NameSeen(part, name, count, START_MS + int(first * DAY_MS), START_MS + int(last * DAY_MS))
        async with self._database.begin() as connection:
            await connection.execute(statements.UPSERT_NAMES, statements.arrays([seen]))

    async def record(self, account_id: str, payloads: list[bytes], *, part: int) -> None:
        """Put payloads into the ledger, numbered on."""
        rows = []
        for payload in payloads:
            self._sequences[part] += 1
            rows.append(
                {
                    "part": part,
                    "seq": self._sequences[part],
                    "id": uuid4(),
                    "account_id": account_id,
                    "type": json.loads(payload)["type"],
                    "payload": payload,
                    "appended_ms": START_MS,
                }
            )
        await self._insert("ledger", rows)
        await self.move_lease(part, out_seq=self._sequences[part])

    async def _store(self, state: AccountState, part: int) -> None:
        standings = [(state.account_id, one) for one in plan_rows(state, self.plans)]
        async with self._database.begin() as connection:
            await connection.execute(statements.UPSERT_ACCOUNTS, statements.account_arrays([account_row(state, part)]))
            await connection.execute(statements.UPSERT_PLANS, statements.plan_arrays(standings))

    async def _adopt_new(self, parts: list[int]) -> None:
        query = sa.text(
            "SELECT p.part, v.plan, v.version, v.policy FROM activation.plan_version v"
            " CROSS JOIN unnest(CAST(:parts AS integer[])) AS p(part) WHERE NOT EXISTS (SELECT FROM"
            " activation.partition_plan a WHERE a.part = p.part AND a.plan = v.plan AND a.version = v.version)"
        )
        async with self._database.connect() as connection:
            missing = (await connection.execute(query, {"parts": parts})).all()
        for row in missing:
            await self.adopt(*row)

    async def _insert(self, table: str, rows: list[dict[str, object]]) -> None:
        if rows:
            columns, values = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
            await self._execute(f"INSERT INTO activation.{table} ({columns}) VALUES ({values})", rows)

    async def _update(self, table: str, key: str, of: object, values: dict[str, object]) -> None:
        given = {name: json.dumps(value) if isinstance(value, list) else value for name, value in values.items()}
        changes = ", ".join(f"{name} = :{name}" for name in given)
        await self._execute(f"UPDATE activation.{table} SET {changes} WHERE {key} = :of", [{**given, "of": of}])

    async def _execute(self, statement: str, rows: list[dict[str, object]]) -> None:
        async with self._database.begin() as connection:
            await connection.execute(sa.text(statement), rows)


def usage(account_id: str, name: str, *, day: float, user_id: str = "u-1") -> Event:
    """Someone of the account used the product on a day after the start."""
    at = START_MS + int(day * DAY_MS)
    return Event(account_id, f"{account_id}-{name}-{day}", "track", name, user_id, at, at, at)


def traits(account_id: str, **values: object) -> Event:
    """The account's traits become known at the start."""
    body = json.dumps({"traits": values}).encode()
    return Event(account_id, f"{account_id}-traits", "group", None, "u-1", START_MS, START_MS, START_MS, body=body)
