"""Keys in memory: what an id that nobody knows may cost, and what is said while the database is away."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from services.runtime.access import Scope, generate_key
from services.runtime.key_ring import KeyRing
from services.runtime.postgres import connect
from services.runtime.problems import Problem

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class Ring(KeyRing):
    """Counts the looks at a database that is slow, and away from the second look on."""

    looks = 0

    async def refresh(self) -> None:
        """One look."""
        self.looks += 1
        await asyncio.sleep(0.02)
        if self.looks > 1:
            raise OperationalError("SELECT", {}, ConnectionRefusedError())
        self._refreshed_at = asyncio.get_running_loop().time()


def new_ring(kind: type[KeyRing]) -> KeyRing:
    """A ring that was never filled."""
    return kind(connect(NOWHERE, service="test"), admin_key="admin", pepper="")


async def code_for(ring: KeyRing, key: str) -> tuple[int, str]:
    """How `key` is refused."""
    with pytest.raises(Problem) as problem:
        await ring.authenticate(key, Scope.EVENTS_WRITE)
    return problem.value.status, problem.value.code


async def test_many_unknown_keys_at_once_cost_one_look() -> None:
    """Whoever makes keys up must not keep the database busy."""
    ring = new_ring(Ring)
    assert isinstance(ring, Ring)
    codes = await asyncio.gather(*(code_for(ring, generate_key()[1]) for _ in range(100)))
    assert set(codes) == {(401, "key_unknown")}
    assert ring.looks == 1


async def test_a_key_that_may_be_new_is_not_refused_while_the_database_is_away() -> None:
    """401 would make its client throw events away; text that cannot be a key is refused as ever."""
    ring = new_ring(KeyRing)
    assert await code_for(ring, generate_key()[1]) == (503, "database_unavailable")
    assert await code_for(ring, "no key at all") == (401, "key_unknown")
    assert ring.age_seconds == float("inf")
    assert (await ring.authenticate("admin", Scope.EVENTS_WRITE)).may(Scope.ADMIN)
