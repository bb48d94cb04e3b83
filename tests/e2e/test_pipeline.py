"""An event in, a signed webhook out: the whole pipeline as somebody uses it who knows only `firstvalue up --json`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segment.analytics import Client

from deploy.demo.plan import PLAN_ID, plan_text
from deploy.demo.receivers import Receiver
from deploy.demo.run import listening
from deploy.demo.services_client import ServicesClient

_COMMAND = (sys.executable, "-m", "services.cli")
_TYPES = ("account.first_value_reached", "account.stalled", "account.activated")
_WAIT_SECONDS = 30.0


def _environment(folder: Path) -> dict[str, str]:
    foreign = ("FIRSTVALUE_", "DATABASE_URL", "KAFKA_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return inherited | {"FIRSTVALUE_DATA_DIR": str(folder), "FIRSTVALUE_INGEST_TICK_SECONDS": "0.1"}


@asynccontextmanager
async def _up(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """`firstvalue up --json` in the foreground; gives its one line of output, ends it by `firstvalue down`."""
    environment, log_path = _environment(folder), folder.with_name("up.log")
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, "up", "--no-plan", "--json", env=environment, stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        assert line, log_path.read_text()
        yield json.loads(line)
        down = await asyncio.create_subprocess_exec(*_COMMAND, "down", env=environment)
        async with asyncio.timeout(60):
            assert await down.wait() == 0
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def _product(connection: dict[str, Any], services: ServicesClient) -> AsyncIterator[Callable[..., None]]:
    """Gives `track(account, event)`; everything is uploaded when the context ends."""
    failures: list[Exception] = []
    key = await services.new_write_key()
    sdk = Client(
        key,
        host=connection["ingest"]["url"],
        upload_interval=0.05,
        max_retries=4,
        on_error=lambda error, _items: failures.append(error),
    )

    def track(account: str, event: str) -> None:
        sdk.track(user_id=f"ana@{account}.example", event=event, context={"groupId": account})

    yield track
    await asyncio.to_thread(sdk.shutdown)
    assert failures == []


async def _sign(services: ServicesClient, account: str) -> None:
    traits = {"name": account.title(), "segment": "smb", "contract_start": datetime.now(UTC).isoformat()}
    await services.command({"command": "set", "account_id": account, "traits": traits})


async def _received(receiver: Receiver, type_: str, account: str) -> dict[str, Any]:
    """The first verified signal of this type about this account."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while True:
            for arrival in receiver.arrivals:
                signal = arrival.signal
                if signal is not None and (signal["type"], signal["account"]["id"]) == (type_, account):
                    return signal
            await asyncio.sleep(0.05)


async def _first_run(connection: dict[str, Any], receiver: Receiver, url: str) -> list[dict[str, Any]]:
    """One account reaches first value and one stalls; returns the list of accounts at the end."""
    async with ServicesClient(connection) as services:
        await services.publish(PLAN_ID, plan_text(day="200ms"))
        receiver.secret = await services.subscribe(url, _TYPES)
        await _sign(services, "acme")
        await _sign(services, "sleepy")
        async with _product(connection, services) as track:
            for event in ("Integration Connected", "Data Imported", "Workflow Run", "Report Generated"):
                track("acme", event)
        first_value = await _received(receiver, "account.first_value_reached", "acme")
        assert first_value["milestone"]["id"] == "first_output"
        assert len(first_value["evidence"]["events"]) == 1
        stalled = await _received(receiver, "account.stalled", "sleepy")
        assert stalled["reason"] == "milestone_overdue"
        assert stalled["milestone"]["id"] == "system_live"
        return await services.accounts()


async def _second_run(connection: dict[str, Any], receiver: Receiver, before: list[dict[str, Any]]) -> None:
    """What was stored is still there, keys and endpoint included, and the pipeline goes on."""
    async with ServicesClient(connection) as services:
        first_values = [row["plans"][0]["first_value_at"] for row in before]
        assert [row["plans"][0]["first_value_at"] for row in await services.accounts()] == first_values
        assert len([value for value in first_values if value]) == 1
        async with _product(connection, services) as track:
            track("acme", "Opportunity Influenced")
        activated = await _received(receiver, "account.activated", "acme")
        assert activated["sequence"] > 1


async def test_event_in_signed_webhook_out(tmp_path: Path) -> None:
    """First value and a stall reach a webhook whose signature the published package verifies; after `down` and `up`
    nothing is lost and nothing is sent twice."""
    receiver = Receiver("crm", _TYPES)
    async with listening(receiver) as url:
        async with _up(tmp_path / "stack") as connection:
            before = await _first_run(connection, receiver, url)
        async with _up(tmp_path / "stack") as connection:
            await _second_run(connection, receiver, before)
    assert all(arrival.is_delivery for arrival in receiver.arrivals)
    ids = [arrival.webhook_id for arrival in receiver.arrivals]
    assert len(ids) == len(set(ids)) >= 3
