"""The notifier's tables filled by hand, for what must not depend on who is faster; no notifier runs meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from services.notifier.domain.outcome import Decision, Exhaustion, Result, Status
from services.notifier.store.gates import GateStore
from services.notifier.store.queue import Claimed, Outcome, QueueStore
from services.notifier.store.replays import ReplayStore, Wanted
from services.runtime.postgres import connect
from tests.running_notifier import Servers, query


def outcome(
    delivery: Claimed,
    status: Status,
    *,
    result: Result = Result.HTTP_5XX,
    exhaustion: Exhaustion | None = None,
    delay_seconds: float = 300,
) -> Outcome:
    """What an attempt gave: a 2xx if it succeeded."""
    good = status is Status.SUCCEEDED
    delay = delay_seconds if status is Status.PENDING else 0
    return Outcome(
        delivery=delivery,
        revision=delivery.revision,
        result=Result.HTTP_2XX if good else result,
        decision=Decision(status=status, delay_seconds=delay, counts=not good, exhaustion=exhaustion),
        status_code=200 if good else 500,
        duration_ms=5,
        since_start_seconds=0.1,
        response=b"",
        error=None,
    )


class Owed:
    """One endpoint's deliveries and the stores that work on them."""

    def __init__(self, servers: Servers, endpoint_id: str) -> None:
        self.servers = servers
        self.endpoint_id = endpoint_id
        self.engine = connect(servers.database_url, service="test")
        self.replays = ReplayStore(self.engine)
        self.gates = GateStore(self.engine)
        self.queue = QueueStore(self.engine, lease_seconds=60)

    async def add_endpoint(self, endpoint_id: str | None = None, *, types: Sequence[str] = ("account.*",)) -> None:
        """One that is enabled."""
        await add_endpoint(self.servers, endpoint_id or self.endpoint_id, types=types)

    async def add(self, count: int, status: str = "exhausted", *, failures: int = 10) -> None:
        """Deliveries five days old."""
        await query(
            self.servers,
            """WITH message AS (
                INSERT INTO notifier.message (id, type, account_id, origin, body, created_at)
                SELECT $1 || '-' || $3 || '-' || n, 'account.stalled', 'acme', 'live', '{}', now() - interval '5 days'
                FROM generate_series(1, $2::int) AS n RETURNING id
            )
            INSERT INTO notifier.delivery
                (message_id, endpoint_id, type, status, failures, attempts, created_at, next_at)
            SELECT id, $1, 'account.stalled', $3, $4, $4, now() - interval '5 days',
                CASE WHEN $3 = 'pending' THEN now() END FROM message""",
            self.endpoint_id,
            count,
            status,
            failures,
        )

    async def rows(self) -> list[Any]:
        """Its deliveries."""
        return await query(
            self.servers, "SELECT * FROM notifier.delivery WHERE endpoint_id = $1 ORDER BY id", self.endpoint_id
        )

    async def statuses(self) -> set[str]:
        """In which states its deliveries are."""
        return {row["status"] for row in await self.rows()}

    async def gate(self) -> Any:
        """Its gate."""
        (row,) = await query(
            self.servers,
            "SELECT *, not_before > now() AS closed FROM notifier.endpoint_gate WHERE endpoint_id = $1",
            self.endpoint_id,
        )
        return row

    async def begin(self, **more: Any) -> int:
        """A replay of everything."""
        number = await self.replays.create(Wanted(**(self._everything() | more)))
        assert number is not None
        return number

    def _everything(self) -> dict[str, Any]:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        return {"endpoint_id": self.endpoint_id, "since": datetime(2020, 1, 1, tzinfo=UTC), "until": tomorrow}


async def add_endpoint(servers: Servers, endpoint_id: str, *, types: Sequence[str] = ("account.*",)) -> None:
    """One that is enabled, with an open gate."""
    await query(
        servers,
        """WITH added AS (
            INSERT INTO notifier.endpoint
                (id, url, description, format, types, origins, timeout_seconds, concurrency_max)
            VALUES ($1, 'https://hooks.example.com/', '', 'standard', $2, '{live}', 15, 10) RETURNING id
        )
        INSERT INTO notifier.endpoint_gate (endpoint_id) SELECT id FROM added""",
        endpoint_id,
        list(types),
    )


@pytest_asyncio.fixture
async def owed(surroundings: Servers) -> AsyncIterator[Owed]:
    """An empty queue of one endpoint. To be used without a running notifier."""
    tables = "notifier.message, notifier.delivery, notifier.attempt, notifier.replay, notifier.endpoint CASCADE"
    await query(surroundings, f"TRUNCATE {tables}")
    made = Owed(surroundings, "ep_by_hand")
    await made.add_endpoint()
    yield made
    await made.engine.dispose()
