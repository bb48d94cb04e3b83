"""Accounts under one plan as insights find them: rows whose answers are known by hand."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.domain.rows import days_key
from tests.integration.engine_api.conftest import Api
from tests.integration.engine_api.partition_rows import DAY_MS, START_MS

# 2026-03-02: 60 days after the start of the year.
CLOCK_MS = START_MS + 60 * DAY_MS


class Accounts:
    """Rows under the plan of the tests; days are counted from the start of the year, the clock stands at day 60."""

    def __init__(self, api: Api, database: AsyncEngine) -> None:
        self._api = api
        self._database = database
        self._count = 0

    async def publish(self) -> None:
        """The plan is live and every clock at day 60."""
        await self._api.rows.publish()
        for part in range(3):
            await self._api.rows.move_lease(part, clock_ms=CLOCK_MS)

    async def add(self, status: str = "on_track", *, start: float | None = 0, **more: Any) -> None:
        """One account; `data`, `output` and `closed` are days after its start."""
        self._count += 1
        begun = None if start is None else START_MS + int(start * DAY_MS)
        dated = {"first_data": more.get("data"), "first_output": more.get("output")}
        reached = {name: (begun or 0) + int(day * DAY_MS) for name, day in dated.items() if day is not None}
        day = more.get("active_day")
        values = {
            "id": f"a-{self._count:03}",
            "part": self._count % 3,
            "owner": more.get("owner"),
            "did": more.get("did"),
            "status": status,
            "segment": more.get("segment", "smb"),
            "start": begun,
            "value": reached.get("first_output"),
            "closed": None if more.get("closed") is None else (begun or 0) + int(more["closed"] * DAY_MS),
            "reached": reached,
            "version": more.get("version", 1),
            "features": more.get("features"),
            "days": more.get("days") or ({} if day is None else {days_key(0, DAY_MS): (day, more["bits"].hex())}),
            "paused": more.get("paused"),
            "waiting_for": next((one for one in dated if one not in reached and one != more.get("waived")), None),
        }
        async with self._database.begin() as connection:
            await connection.execute(_ACCOUNT, {name: values[name] for name in _OF_ACCOUNT})
            of_plan = {name: value for name, value in values.items() if name not in _OF_ACCOUNT[1:]}
            await connection.execute(_STANDING, of_plan)


_ACCOUNT = sa.text(
    "INSERT INTO activation.account (account_id, part, facts, owner, last_event, active_days)"
    " VALUES (:id, :part, '', :owner, :did, :days)"
).bindparams(sa.bindparam("days", type_=sa.JSON))
_OF_ACCOUNT = ("id", "part", "owner", "did", "days")
_STANDING = sa.text(
    "INSERT INTO activation.account_plan (account_id, plan, version, status, segment, started_at, first_value_at,"
    " closed_at, reached, features, waiting_for, paused) VALUES"
    " (:id, 'b2b-saas', :version, :status, :segment, to_timestamp(CAST(:start AS bigint) / 1000.0),"
    " to_timestamp(CAST(:value AS bigint) / 1000.0),"
    " to_timestamp(CAST(:closed AS bigint) / 1000.0), :reached, :features, :waiting_for,"
    " CAST(CAST(:paused AS text) AS int8multirange))"
).bindparams(sa.bindparam("reached", type_=sa.JSON))
