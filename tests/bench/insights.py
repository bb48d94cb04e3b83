"""How long each insight takes over 100,000 accounts: `make bench-insights`.

Real PostgreSQL with seeded rows as an engine leaves them (900 bytes of facts each); the API in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import asyncpg
import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone
from services.activation_engine.api import new_engine_api
from services.activation_engine.app import MIGRATIONS
from services.activation_engine.domain.rows import days_key
from services.activation_engine.plan_templates import template_text
from services.runtime import postgres
from services.runtime.key_ring import KeyRing
from services.runtime.migrations import upgrade
from tests.bench.report import RUNS, print_header, print_json, print_medians
from tests.fakes.operations import operations_over
from tests.integration.engine_api.partition_rows import DAY_MS, START_MS, PartitionRows

_ACCOUNTS = 100_000
_KEY = "bench"
_INSIGHTS = ("status", "funnel", "ttfv", "adoption", "obstacles", "owners", "surprises")
# Half a year of starts, seven milestones reached one after the other by fewer and fewer, 150 owners.
_ACCOUNT_ROWS = """
INSERT INTO activation.account (account_id, part, facts, owner, last_event, active_days)
SELECT 'account-' || n, n % 3, decode(repeat(md5(CAST(n AS text)), 28), 'hex') || decode(repeat('00', 452), 'hex'),
    'owner-' || n % 150, (ARRAY['Data Imported', 'Page Opened', 'Report Generated', 'Workflow Run'])[1 + n % 4],
    jsonb_build_object(CAST(:days_key AS text),
        jsonb_build_array(
            CAST(:clock_ms AS bigint) / CAST(:day_ms AS bigint) - n % 40, substr(md5(CAST(n AS text)), 1, 24)))
FROM generate_series(1, :accounts) AS n
"""
_PLAN_ROWS = """
WITH drawn AS (
    SELECT n, :start_ms + CAST(random() * 180 * :day_ms AS bigint) AS start_ms,
        CAST(8 * sqrt(random()) AS int) AS reached, 2 + 20 * random() AS pace
    FROM generate_series(1, :accounts) AS n
), dated AS (
    SELECT n, start_ms, jsonb_object_agg(id, at) FILTER (WHERE place <= reached AND at <= :clock_ms) AS reached
    FROM drawn CROSS JOIN LATERAL (
        SELECT id, place, start_ms + CAST(place * pace * :day_ms AS bigint) AS at
        FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS milestone (id, place)
    ) AS milestones GROUP BY n, start_ms
)
INSERT INTO activation.account_plan (account_id, plan, version, status, segment, started_at, first_value_at, reached,
    features, waiting_for)
SELECT 'account-' || n, 'b2b-saas', 1, (ARRAY['on_track', 'at_risk', 'stalled', 'activated', 'closed'])[1 + n % 5],
    (ARRAY['smb', 'mid_market', 'enterprise'])[1 + n % 3], to_timestamp(start_ms / 1000.0),
    to_timestamp(CAST(reached ->> 'first_output' AS bigint) / 1000.0), coalesce(reached, '{}'),
    substring(int4send(n % 32) FROM 4),
    (SELECT id FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS milestone (id, place)
     WHERE NOT coalesce(reached, '{}') ? id ORDER BY place LIMIT 1)
FROM dated
"""
_NAME_ROWS = """
INSERT INTO activation.event_name (part, name, count, first_seen_ms, last_seen_ms)
SELECT part, 'Event ' || n, n * 7, :start_ms, :clock_ms
FROM generate_series(1, 10000) AS n, generate_series(0, 2) AS part
"""


async def _seed(engine: AsyncEngine, accounts: int) -> None:
    clock_ms = START_MS + 180 * DAY_MS
    rows = PartitionRows(engine)
    await rows.claim_all()
    for part in range(3):
        await rows.move_lease(part, clock_ms=clock_ms)
    await rows.publish(template_text("b2b-saas"))
    ids = list(rows.live["b2b-saas"].plan.display_order)
    values = {"accounts": accounts, "start_ms": START_MS, "day_ms": DAY_MS, "clock_ms": clock_ms, "ids": ids}
    values["days_key"] = days_key(0, DAY_MS)
    async with engine.begin() as connection:
        for query in (_ACCOUNT_ROWS, _PLAN_ROWS, _NAME_ROWS):
            statement = sa.text(query)
            used = {name: value for name, value in values.items() if f":{name}" in query}
            await connection.execute(statement, used)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(sa.text("VACUUM ANALYZE"))


async def _measure(url: str, accounts: int) -> dict[str, list[float]]:
    engine = postgres.connect(url, service="bench")
    await _seed(engine, accounts)
    keys = KeyRing(engine, admin_key=_KEY, pepper="")
    app = new_engine_api(reads=engine, keys=keys, partitions=lambda: 3, operations=operations_over(engine))
    taken: dict[str, list[float]] = {}
    headers = {"authorization": f"Bearer {_KEY}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", headers=headers) as http:
        for path in [*(f"/v1/insights/{name}" for name in _INSIGHTS), "/v1/catalog"]:
            await http.get(path)
            for _ in range(RUNS):
                began = time.perf_counter()
                (await http.get(path)).raise_for_status()
                taken.setdefault(f"{path}, ms", []).append((time.perf_counter() - began) * 1000)
    await engine.dispose()
    return taken


@asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    name = f"bench_insights_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def _run(server: str, accounts: int) -> dict[str, list[float]]:
    async with _database(server) as url:
        await asyncio.to_thread(upgrade, url, schema="activation", folder=MIGRATIONS)
        return await _measure(url, accounts)


@contextmanager
def _server() -> Iterator[str]:
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    path = root() / ".firstvalue-test" / f"bench-{os.getpid()}"
    data = DataFolder(Path(path))
    with servers_alone(data, jars=jars_path(), environment=os.environ, progress=Silence(), stopping=Event()) as stack:
        yield stack.connection["database"]
    shutil.rmtree(path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=_ACCOUNTS)
    accounts = parser.parse_args().accounts
    with _server() as server:
        print_header("Insights", {"accounts": accounts, "partitions": 3, "event_names": 10_000})
        print_json(print_medians(asyncio.run(_run(server, accounts))))


if __name__ == "__main__":
    main()
