"""An operator who asks a running engine over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_room import EngineRoom
from tests.waiting import until

ADMIN_KEY = "an admin key"
# For the environment of the engines that are asked.
WITH_ADMIN = {"FIRSTVALUE_ADMIN_KEY": ADMIN_KEY}


class Operator:
    """Asks one engine."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """The answer."""
        url = await asyncio.to_thread(self._engine.url)
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {ADMIN_KEY}"}) as client:
            return await client.request(method, path, json=body, timeout=20)

    async def job(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The job that this starts, once it has ended."""
        started = await self.ask(method, path, body)
        assert started.status_code == 202, started.text
        job: dict[str, Any] = started.json()

        async def ended() -> bool:
            job.update((await self.ask("GET", f"/v1/jobs/{job['id']}")).json())
            return job["state"] not in ("waiting", "running")

        await until(ended, what=f"{path} ended")
        return job

    async def audit(self, room: EngineRoom) -> dict[str, Any]:
        """The result of an audit, with ticks going on meanwhile, as they do everywhere."""
        ticking = asyncio.create_task(_keep_ticking(room))
        try:
            job = await self.job("POST", "/v1/audits")
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        assert job["state"] == "done", job
        result: dict[str, Any] = job["result"]
        return result


async def _keep_ticking(room: EngineRoom) -> None:
    while True:
        await room.tick()
        await asyncio.sleep(0.5)


async def recorded(room: EngineRoom, count: int) -> None:
    """Wait for so many signals."""

    async def so() -> bool:
        return bool(await room.database.fetchval("SELECT count(*) >= $1 FROM activation.ledger", count))

    await until(so, what=f"{count} signals recorded")


async def has_letter(room: EngineRoom, reason: str) -> bool:
    """Whether a record was refused for this reason."""
    query = "SELECT count(*) > 0 FROM activation.dead_letter WHERE reason = $1"
    return bool(await room.database.fetchval(query, reason))
