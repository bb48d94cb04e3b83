"""Claims: a turn of the loop takes them for as long as it may, and the next one goes on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.activation_engine import leases
from services.activation_engine.store import Claim, StoreUnavailable
from tests.unit.engine_shell.test_transactions import Engine


async def test_a_database_that_fails_slowly_holds_the_loop_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each of many partitions: those that were not tried are tried in the next turn."""
    now, tried = 0.0, list[int]()
    loop = SimpleNamespace(time=lambda: now)
    in_time = SimpleNamespace(get_running_loop=lambda: loop, Lock=asyncio.Lock, timeout=asyncio.timeout)
    monkeypatch.setattr(leases, "asyncio", in_time)
    engine = Engine()

    async def frozen(part: int, **_: Any) -> Claim:
        nonlocal now
        now += 20
        tried.append(part)
        raise StoreUnavailable

    monkeypatch.setattr(engine.store, "claim", frozen)
    engine.leases.assign([0, 1])
    for turn, parts in enumerate(([0], [0, 1])):
        assert await engine.leases.claim(engine.leases.claimable()) == []
        assert tried == parts, turn
