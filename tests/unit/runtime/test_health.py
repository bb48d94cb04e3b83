"""What orchestrators are told: whether to start a process again, and whether to send it anything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.runtime import health
from services.runtime.health import Health, PrivateApp


async def unreachable() -> bool:
    """A dependency that is away."""
    raise ConnectionRefusedError


async def test_readiness_needs_two_failures_and_ends_with_the_drain() -> None:
    """One slow answer of a dependency takes nobody out of service; draining does at once."""
    answers = [True, False, False, True]

    async def check() -> bool:
        return answers.pop(0)

    probed = Health(checks={"database": check}, cache_seconds=0)
    assert (await probed.ready())["database"]
    assert (await probed.ready())["database"]
    assert not (await probed.ready())["database"]
    probed.drain()
    assert await probed.ready() == {"database": True, "not_draining": False}


async def test_dependencies_are_asked_once_a_second_however_many_probe() -> None:
    """Also by probes at the same time."""
    asked = 0

    async def check() -> bool:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return True

    probed = Health(checks={"database": check})
    assert await asyncio.gather(*(probed.ready() for _ in range(20))) == [{"database": True, "not_draining": True}] * 20
    assert asked == 1


async def test_a_dependency_that_hangs_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe answers in time, and the other checks with it."""
    monkeypatch.setattr(health, "_CHECK_TIMEOUT_SECONDS", 0.01)

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    async def well() -> bool:
        return True

    probed = Health(checks={"database": hang, "broker": well})
    assert await probed.ready() == {"database": False, "broker": True, "not_draining": True}


async def _asked(app: PrivateApp, path: str) -> tuple[int, Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("a probe has no body")

    await app({"type": "http", "path": path, "headers": []}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def test_a_dependency_that_is_away_restarts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """/livez asks none; it fails when a worker has not been heard of for a minute, and names it."""
    probed = Health(checks={"database": unreachable}, cache_seconds=0)
    app = PrivateApp(probed, CollectorRegistry())
    probed.beat("consumer")
    assert await _asked(app, "/readyz") == (
        503,
        {"status": "failing", "checks": {"database": False, "not_draining": True}},
    )
    assert await _asked(app, "/livez") == (200, {"status": "ok", "checks": {"consumer": True}})
    with monkeypatch.context() as later:
        later.setattr(health, "_HEARTBEAT_SECONDS_MAX", 0.0)
        assert await _asked(app, "/livez") == (503, {"status": "failing", "checks": {"consumer": False}})
    assert (await _asked(app, "/"))[0] == 404
