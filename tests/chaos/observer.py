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
# A look now and then would miss what the next commit puts right, so the database looks at every commit.
WATCH_LEASES = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.backwards (part int, before bigint[], after bigint[]);
CREATE FUNCTION chaos.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos.backwards VALUES (
        new.part,
        ARRAY[old.next_offset, old.out_seq, old.published_seq, old.clock_ms],
        ARRAY[new.next_offset, new.out_seq, new.published_seq, new.clock_ms]);
    RETURN NULL;
END $$;
CREATE TRIGGER backwards AFTER UPDATE ON activation.partition_lease FOR EACH ROW
    WHEN (new.next_offset < old.next_offset OR new.out_seq < old.out_seq
        OR new.published_seq < old.published_seq OR new.clock_ms < old.clock_ms)
    EXECUTE FUNCTION chaos.tell()
"""
_BACKWARDS = "SELECT * FROM chaos.backwards LIMIT 1"
_STANDINGS = "SELECT account_id, plan, reached, first_value_at, activated_at FROM activation.account_plan"


class Observer:
    """Looks at the tables, and follows `GET /v1/signals` of whichever engine answers. Accounts in `erased` may go."""

    def __init__(self, system: RunningSystem, *, erased: Set[str]) -> None:
        self._system = system
        self._erased = erased
        self._looking = asyncio.Lock()
        self._engines = [name for name, service in system.services.items() if service.kind == "engine"]
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
            self._reached, self._after, self.followed = {}, None, []

    async def _look(self) -> None:
        try:
            standings, backwards = await self._system.query(_STANDINGS), await self._system.query(_BACKWARDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            pass
        else:
            require(not backwards, "a partition went backwards:", *map(tuple, backwards))
            self._compare(standings)
            self.looks += 1
        await self._follow()

    def _compare(self, standings: list[Any]) -> None:
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
