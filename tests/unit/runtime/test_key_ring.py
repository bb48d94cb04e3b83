"""Keys in memory: what an id that nobody knows may cost, and what is said while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import Depends, FastAPI
from structlog.testing import capture_logs

from services.runtime.access import Scope, StoredKey, generate_key, hash_key
from services.runtime.key_ring import KeyRing, require
from services.runtime.postgres import connect
from services.runtime.problems import Problem

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


class Ring(KeyRing):
    """Counts the looks at a database that is slow; `created` is in the table from the next look on."""

    looks = 0
    created: StoredKey | None = None

    async def refresh(self) -> None:
        """One look: what it finds is what was there when it began."""
        self.looks += 1
        found = {} if self.created is None else {self.created.key_id: self.created}
        await asyncio.sleep(0.02)
        self._keys = found
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
    assert ring.looks <= 2


async def test_an_id_that_nobody_has_is_not_looked_for_again() -> None:
    """Until the table changes."""
    ring = new_ring(Ring)
    assert isinstance(ring, Ring)
    key = generate_key()[1]
    for _ in range(5):
        assert await code_for(ring, key) == (401, "key_unknown")
    assert ring.looks == 1


async def test_a_key_created_while_another_look_is_under_way_is_found() -> None:
    """A look that began before the request came proves nothing about its key."""
    ring = new_ring(Ring)
    assert isinstance(ring, Ring)
    early = asyncio.create_task(code_for(ring, generate_key()[1]))
    while not ring.looks:  # noqa: ASYNC110 - nothing tells that a look has begun
        await asyncio.sleep(0)
    key_id, key = generate_key()
    ring.created = StoredKey(key_id, "new", frozenset({Scope.EVENTS_WRITE}), hash_key(key, pepper=""))
    assert (await ring.authenticate(key, Scope.EVENTS_WRITE)).key_id == key_id
    assert await early == (401, "key_unknown")


async def test_many_notices_cost_one_look_more_than_is_under_way() -> None:
    """And what the last of them told is known afterwards."""
    ring = new_ring(Ring)
    assert isinstance(ring, Ring)
    key_id, key = generate_key()
    ring.refresh_soon()
    while not ring.looks:  # noqa: ASYNC110 - nothing tells that a look has begun
        await asyncio.sleep(0)
    ring.created = StoredKey(key_id, "new", frozenset({Scope.EVENTS_WRITE}), hash_key(key, pepper=""))
    for _ in range(100):
        ring.refresh_soon()
    async with asyncio.timeout(5):
        while ring.known(key) is None:  # noqa: ASYNC110 - a task of the ring's own reads it
            await asyncio.sleep(0.01)
    assert ring.looks == 2
    ring.refresh_soon()
    async with asyncio.timeout(5):
        while ring.looks < 3:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)


async def test_a_key_that_may_be_new_is_not_refused_while_the_database_is_away() -> None:
    """401 would make its client throw events away; text that cannot be a key is refused as ever."""
    ring = new_ring(KeyRing)
    assert await code_for(ring, generate_key()[1]) == (503, "database_unavailable")
    assert await code_for(ring, "no key at all") == (401, "key_unknown")
    assert ring.age_seconds == float("inf")
    assert (await ring.authenticate("admin", Scope.EVENTS_WRITE)).may(Scope.ADMIN)


async def test_who_asked_for_a_change_is_logged() -> None:
    """With the route's template and the key's public id; looking changes nothing and is not told."""
    app = FastAPI()
    administrator = Depends(require(KeyRing(cast(Any, None), admin_key="the admin key", pepper=""), Scope.ADMIN))

    @app.api_route("/v1/things/{thing}", methods=["GET", "DELETE"], dependencies=[administrator])
    async def do(thing: str) -> None:
        """Nothing."""

    headers = {"authorization": "Bearer the admin key"}
    with capture_logs() as lines:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            for method in ("GET", "DELETE"):
                assert (await http.request(method, "/v1/things/acme", headers=headers)).status_code == 200
    (line,) = lines
    asked = {name: line[name] for name in ("event", "method", "route", "key")}
    assert asked == {"event": "change_asked", "method": "DELETE", "route": "/v1/things/{thing}", "key": "bootstrap"}


class Table:
    """A key table whose first reading is answered last."""

    def __init__(self, *answers: list[Any]) -> None:
        self._answers = list(answers)
        self.first_goes_on = asyncio.Event()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        yield self

    async def execute(self, *_: Any) -> Any:
        is_first = len(self._answers) == 2
        rows = self._answers.pop(0)
        if is_first:
            await self.first_goes_on.wait()
        return SimpleNamespace(all=lambda: rows)


async def test_a_slow_reading_does_not_bring_a_revoked_key_back() -> None:
    """It began before the revocation, and its answer came after that of the reading which the revocation caused."""
    key_id, key = generate_key()
    row = SimpleNamespace(
        id=key_id,
        name="k",
        scopes=["events:write"],
        secret_hash=hash_key(key, pepper=""),
        expires_at=None,
        revoked_at=None,
        origins=[],
        source=None,
    )
    revoked = SimpleNamespace(**{**vars(row), "revoked_at": datetime(2026, 11, 20, tzinfo=UTC)})
    table: Any = Table([row], [revoked])
    ring = KeyRing(table, admin_key=None, pepper="")
    slow = asyncio.create_task(ring.refresh())
    await asyncio.sleep(0)
    await ring.refresh()
    assert ring.known(key) is None
    table.first_goes_on.set()
    await slow
    assert ring.known(key) is None
