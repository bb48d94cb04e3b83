"""What the pipeline's bench sends: uses by customers who are known, and in every request one customer who is new."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from deploy.local.places import root
from tests.bench.engine_load import ROLES, Sample, everyone_in_turn, uniform
from tests.bench.load import NOW
from tests.running_system import ADMIN_KEY

EVENTS_PER_REQUEST = 100
CONNECTIONS = 16
_BODIES_MAX = 1_000
_ACCOUNTS_AT_ONCE = 300
_REQUESTS_AT_ONCE = 8
_FIRST_USES = ("Page Viewed", "Data Imported", "Page Viewed")


async def introduce(ingest: httpx.AsyncClient, accounts: int) -> None:
    """All accounts with their people and the milestones that the load could reach: later uses change nothing."""
    turns = [everyone_in_turn(accounts, day=0, name=name, person=n) for n, name in enumerate(_FIRST_USES)]
    samples = itertools.chain.from_iterable(zip(*turns, strict=True))
    batches = iter(lambda: list(itertools.islice(samples, _ACCOUNTS_AT_ONCE * len(ROLES))), [])

    async def send() -> None:
        for batch in batches:
            (await ingest.post("/v1/batch", json={"batch": _uses(batch)})).raise_for_status()

    await asyncio.gather(*(send() for _ in range(_REQUESTS_AT_ONCE)))


class Load:
    """The generator, a process of its own, against one ingest."""

    def __init__(self, *, ingest_url: str, accounts: int) -> None:
        self._url = httpx.URL(ingest_url)
        self._samples = uniform(accounts)

    def settings(self, events_per_s: float, seconds: float) -> bytes:
        """What tests.bench.load reads, with every request; made before a step begins, as it takes up to a second."""
        rate_per_s = events_per_s / EVENTS_PER_REQUEST
        settings: dict[str, Any] = {
            "host": self._url.host,
            "ports": [self._url.port],
            "path": "/v1/batch",
            "key": ADMIN_KEY,
            "bodies": [self._body() for _ in range(min(_BODIES_MAX, int(rate_per_s * seconds) + 1))],
            "connections": CONNECTIONS,
            "seconds": seconds,
            "rate_per_s": rate_per_s,
        }
        return json.dumps(settings).encode()

    async def run(self, settings: bytes) -> dict[str, Any]:
        """What the generator saw: `requests` `statuses` `seconds` `cpu_seconds` `p99_ms`.

        503 is ingest's answer to more than it can take. Raises SystemExit for any other refusal, or for nothing else.
        """
        command = (sys.executable, "-m", "tests.bench.load")
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=root())
        try:
            out, _ = await process.communicate(settings)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise SystemExit("the load generator failed, its error is above")
        seen: dict[str, Any] = json.loads(out)
        if not {"200"} <= set(seen["statuses"]) <= {"200", "503"}:
            raise SystemExit(f"ingest answered {seen['statuses']}, the figures mean nothing")
        return seen

    def _body(self) -> str:
        known = itertools.islice(self._samples, EVENTS_PER_REQUEST - 2)
        return json.dumps({"batch": [*_uses(known), *_new_customer()]})


def _new_customer() -> Iterator[dict[str, Any]]:
    """Its start is announced under its name, which is the time of sending: tests.bench.receiver reads it there."""
    user, account = f"user-{NOW}", f"new-{NOW}"
    yield {"type": "group", "messageId": f"g-{NOW}", "userId": user, "groupId": account, "traits": {"name": NOW}}
    use = {"type": "track", "messageId": f"t-{NOW}", "userId": user, "event": "Page Viewed"}
    yield {**use, "context": {"groupId": account}}


def _uses(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return [_use(sample, now, number) for number, sample in enumerate(samples)]


def _use(sample: Sample, now: str, number: int) -> dict[str, Any]:
    return {
        "type": "track",
        "event": sample.name,
        "messageId": f"0c6b9e3a-7a3d-4f5a-9b1b-{sample.account:06x}{number:06x}",
        "userId": f"user-{sample.account}-{sample.person}",
        "timestamp": now,
        "context": {
            "library": {"name": "analytics-python", "version": "2.3.2"},
            "groupId": f"acc-{sample.account}",
        },
        "properties": {"rows": 120, "kind": "pipeline", "url": "https://app.acme.example/reports/17", "ms": 1532.25},
        "integrations": {},
    }
