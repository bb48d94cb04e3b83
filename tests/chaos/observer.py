"""A second observer: reads while faults last, and sees that nothing goes backwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Set
from typing import Any

import asyncpg
import httpx

from tests.chaos.violation import require
from tests.running_system import RunningSystem

_PAUSE_SECONDS = 0.25
_LEASES = "SELECT part, next_offset, out_seq, published_seq, clock_ms FROM activation.partition_lease"
_STANDINGS = "SELECT account_id, plan, reached, first_value_at, activated_at FROM activation.account_plan"


class Observer:
    """Looks at the tables, and follows `GET /v1/signals` of whichever engine answers. Accounts in `erased` may go."""

    def __init__(self, system: RunningSystem, *, erased: Set[str]) -> None:
        self._system = system
        self._erased = erased
        self._looking = asyncio.Lock()
        self._engines = [name for name, service in system.services.items() if service.kind == "engine"]
        self._leases: dict[int, Any] = {}
        self._reached: dict[tuple[str, str], set[str]] = {}
        self._after: str | None = None
        self.followed: list[str] = []
        self.looks = 0

    async def run(self) -> None:
        """Until cancelled; raises Violation."""
        while True:
            await self.look()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self) -> None:
        """Once; what does not answer now is looked at the next time."""
        async with self._looking:
            await self._look()

    @contextlib.asynccontextmanager
    async def looking_away(self) -> AsyncIterator[None]:
        """While a backup takes the place of the database, whose past begins anew then."""
        async with self._looking:
            yield
            self._leases, self._reached, self._after, self.followed = {}, {}, None, []

    async def _look(self) -> None:
        try:
            leases, standings = await self._system.query(_LEASES), await self._system.query(_STANDINGS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            pass
        else:
            self._compare(leases, standings)
            self.looks += 1
        await self._follow()

    def _compare(self, leases: list[Any], standings: list[Any]) -> None:
        for row in leases:
            now = tuple(row[name] or 0 for name in ("next_offset", "out_seq", "published_seq", "clock_ms"))
            before = self._leases.setdefault(row["part"], now)
            forward = all(old <= new for old, new in zip(before, now, strict=True))
            require(forward, "a partition went backwards:", row["part"], before, now)
            self._leases[row["part"]] = now
        seen = {(row["account_id"], row["plan"]): set(_names(row["reached"])) for row in standings}
        for place, reached in self._reached.items():
            kept = reached <= seen.get(place, set()) or place[0] in self._erased
            require(kept, "milestones were lost:", place, reached, seen.get(place))
        self._reached = seen

    async def _follow(self) -> None:
        """One page of the ledger's feed, from the other engine each time."""
        engine = self._engines[self.looks % len(self._engines)]
        wanted: Mapping[str, str] = {"limit": "500"} | ({"after": self._after} if self._after else {})
        try:
            async with self._system.client(engine) as http:
                answer = await http.get("/v1/signals", params=wanted, timeout=3)
        except httpx.TransportError:
            return
        require(answer.status_code in (200, 503), "the feed answered", answer.status_code, answer.text)
        if answer.status_code == 200:
            page = answer.json()
            self.followed += [signal["id"] for signal in page["data"]]
            self._after = page["next"]


def _names(reached: Any) -> Any:
    return json.loads(reached) if isinstance(reached, str) else reached
