"""What must never be in a log is sent through all services, and their collected output is searched for it."""

from __future__ import annotations

import base64
import json

import pytest

from services.runtime.access import Scope, generate_key
from tests.integration.guards.documents import SERVICES
from tests.ports import free_port
from tests.running_system import RunningSystem
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

MARKER = "planted-secret-7f3a"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a planted webhook secret, 32 bytes").decode()
FORGING = 'evil\r\n{"event": "forged"}\x1b[31m'


async def test_logs_hold_no_secret_no_body_and_no_forged_line(system: RunningSystem) -> None:
    """Keys in every place for one, bodies of events and plans, a webhook's secret and address, ids that break lines."""
    key = await system.new_key([Scope.EVENTS_WRITE])
    _, unknown = generate_key()
    body = {
        "type": "track",
        "event": f"Opened {MARKER}",
        "userId": FORGING,
        "messageId": FORGING,
        "context": {"groupId": FORGING, "ip": MARKER},
        "properties": {"card": MARKER},
    }
    endpoint = {"url": f"http://127.0.0.1:{free_port()}/{MARKER}", "secret": WEBHOOK_SECRET, "description": MARKER}
    async with system.client("notifier") as http:
        created = await http.post("/v1/endpoints", json=endpoint)
        assert created.status_code == 201, created.text
        ping = (await http.post(f"/v1/endpoints/{created.json()['id']}/ping")).json()["delivery_id"]
        await http.get(f"/v1/endpoints/{created.json()['id']}/secret")

        async def tried() -> bool:
            return bool((await http.get(f"/v1/deliveries/{ping}")).json()["log"])

        await until(tried)
    async with system.client("ingest", key=None) as http:
        for sent in ({**body, "writeKey": key}, {**body, "writeKey": unknown}, f'{{"a": "{MARKER}'):
            content = sent if isinstance(sent, str) else json.dumps(sent)
            await http.post("/v1/track", content=content.encode())
        await http.post("/v1/batch", json={"batch": [body]}, headers={"authorization": f"Bearer {key}{MARKER}"})
        await http.post("/v1/track", json=body, headers={"x-write-key": f"{unknown}{MARKER}"}, params={"writeKey": key})
    for service in SERVICES:
        async with system.client(service) as http:
            for path in (
                f"/v1/accounts/{MARKER}",
                f"/v1/{MARKER}",
                f"/v1/signals?after={MARKER}",
                "/v1/accounts/a%0d%0ab",
            ):
                await http.get(path)
            await http.put(f"/v1/plans/{MARKER}", content=f"plan: {MARKER}")
            await http.post("/v1/keys", json={"name": MARKER, "scopes": [MARKER]})
    for name, replica in system.services.items():
        text = replica.log.read_bytes()
        for secret in (MARKER, key, unknown, WEBHOOK_SECRET, WEBHOOK_SECRET.removeprefix("whsec_")):
            assert secret.encode() not in text, name
        assert b"\x1b" not in text, name
        assert b"\r" not in text, name
        for line in text.splitlines():
            told = json.loads(line)
            assert told["event"] != "forged", name
            assert "unlisted" not in told, told
