"""Keys over their life: signatures that others verify, rotation, who was shown them, a new master key."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr
from standardwebhooks.webhooks import WebhookVerificationError

from tests.fakes.receiver import Received, Receiver, verify
from tests.running_notifier import SECRET_KEY, NotifierClient, Servers, query, running
from tests.waiting import until

URL = "http://127.0.0.1:9/hook"
NEW_KEY = base64.b64encode(bytes(range(32, 64))).decode()


async def pinged(notifier: NotifierClient, endpoint: Any, receiver: Receiver) -> Received:
    """The request of one more ping."""
    before = len(receiver.received)
    await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
    return (await receiver.wait_for(before + 1))[before]


def verify_ed25519(request: Received, public_key: str) -> None:
    """By `cryptography`, from nothing but the header, the body and the public key's text."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    signatures = [part.split(",") for part in request.headers["webhook-signature"].split(" ")]
    key.verify(base64.b64decode(next(text for version, text in signatures if version == "v1a")), signed)


async def test_rotation_has_no_gap(surroundings: Servers) -> None:
    """Old and new secrets verify together, newest first; then only the new ones; a leaked one ends at once."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url())
        path = f"/v1/endpoints/{endpoint['id']}/rotate"
        first = endpoint["secret"]
        second = (await notifier.ask("POST", path, json={}))["secret"]
        request = await pinged(notifier, endpoint, receiver)
        verify(request, first)
        verify(request, second)
        parts = request.headers["webhook-signature"].split(" ")
        assert [part.count(",") for part in parts] == [1, 1]
        third = await notifier.ask("POST", path, json={"expire_now": True})
        request = await pinged(notifier, endpoint, receiver)
        verify(request, third["secret"])
        for old in (first, second):
            with pytest.raises(WebhookVerificationError):
                verify(request, old)
        assert third["secrets"] == [third["secret"]]
        own = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        supplied = await notifier.ask("POST", path, json={"secret": own, "keep_seconds": 1})
        assert (supplied["secret"], len(supplied["keys"])) == (own, 2)
        assert [key["expires_at"] is None for key in supplied["keys"]] == [True, False]

        async def alone() -> bool:
            return " " not in (await pinged(notifier, endpoint, receiver)).headers["webhook-signature"]

        await until(alone)
        verify(receiver.received[-1], own)


async def test_rotation_is_bounded_and_idempotent(surroundings: Servers) -> None:
    """A repeat rotates once; a seventh key is refused until the others end; others' mistakes have codes."""
    async with running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(URL)
        path = f"/v1/endpoints/{endpoint['id']}/rotate"
        once = [await notifier.ask("POST", path, headers={"idempotency-key": "a"}) for _ in range(2)]
        assert once[0] == once[1]
        assert len(once[0]["secrets"]) == 2
        reused = await notifier.ask(
            "POST", path, status=409, headers={"idempotency-key": "a"}, json={"keep_seconds": 5}
        )
        assert reused["code"] == "idempotency_key_reused"
        for _ in range(4):
            await notifier.ask("POST", path)
        assert (await notifier.ask("POST", path, status=409))["code"] == "too_many_keys"
        assert len((await notifier.ask("POST", path, json={"keep_seconds": 0}))["secrets"]) == 1
        for body, code in [
            ({"keep_seconds": 604_801}, "invalid_request"),
            ({"secret": "whsec_c2hvcnQ="}, "secret_invalid"),
            ({"secret": "whpk_" + base64.b64encode(bytes(32)).decode()}, "secret_invalid"),
            ({"secret": "whsk_" + base64.b64encode(bytes(64)).decode()}, "secret_invalid"),
        ]:
            assert (await notifier.ask("POST", path, status=422, json=body))["code"] == code
        assert (await notifier.ask("POST", "/v1/endpoints/ep_none/rotate", status=404))["code"] == "endpoint_not_found"


async def test_ed25519_verifies_with_the_public_key_alone(surroundings: Servers) -> None:
    """Made or supplied, beside an HMAC key during a change of schemes."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), signature="v1a")
        assert endpoint["secret"].startswith("whsk_")
        assert endpoint["public_key"].startswith("whpk_")
        verify_ed25519(await pinged(notifier, endpoint, receiver), endpoint["public_key"])
        rotated = await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/rotate")
        assert rotated["public_key"] not in (None, endpoint["public_key"])
        changed = await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/rotate", json={"signature": "v1"})
        request = await pinged(notifier, endpoint, receiver)
        verify(request, changed["secret"])
        verify_ed25519(request, rotated["public_key"])
        versions = [part.partition(",")[0] for part in request.headers["webhook-signature"].split(" ")]
        assert versions == ["v1", "v1a", "v1a"]
        seed = "whsk_" + base64.b64encode(bytes(range(32))).decode()
        own = await notifier.add_endpoint(receiver.url(), secret=seed)
        assert own["secret"] == seed
        verify_ed25519(await pinged(notifier, own, receiver), own["public_key"])


async def test_who_saw_a_secret_is_written_down(surroundings: Servers) -> None:
    """Creation, rotation and each look: which key, when, in which request; newest first, also after the deletion."""
    async with running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(URL)
        path = f"/v1/endpoints/{endpoint['id']}"
        await notifier.ask("POST", f"{path}/rotate")
        await notifier.ask("GET", path)
        looked = await notifier.http.get(f"{path}/secret")
        shown = looked.json()["shown"]
        assert [access["action"] for access in shown] == ["shown", "rotated", "created"]
        assert shown[0]["request_id"] == looked.headers["x-request-id"]
        assert all(access["at"] and access["key_id"] and access["key_name"] for access in shown)
        await notifier.ask("DELETE", path, status=204)
        statement = "SELECT action FROM notifier.secret_access WHERE endpoint_id = $1 ORDER BY id"
        rows = await query(surroundings, statement, endpoint["id"])
        assert [row["action"] for row in rows] == ["created", "rotated", "shown"]


async def test_a_new_master_key_takes_over(surroundings: Servers) -> None:
    """With the old key beside it everything is readable; after re-encryption without it; before, nothing is lost."""
    async with running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(URL, headers={"authorization": "Bearer example"})
    environment = surroundings.environment() | {"FIRSTVALUE_NOTIFIER_SECRET_KEY": NEW_KEY}
    command = [sys.executable, "-m", "services.notifier", "reencrypt"]

    def reencrypt(old_keys: str) -> subprocess.CompletedProcess[str]:
        own = environment | {"FIRSTVALUE_NOTIFIER_SECRET_KEYS_OLD": old_keys}
        return subprocess.run(command, env=own, capture_output=True, text=True, timeout=60)

    refused = reencrypt("")
    assert (refused.returncode, "SECRET_KEYS_OLD" in refused.stderr) == (1, True)
    path = f"/v1/endpoints/{endpoint['id']}/secret"
    async with running(surroundings, secret_key=SecretStr(NEW_KEY)) as notifier:
        assert (await notifier.ask("GET", path, status=500))["code"] == "secret_unreadable"
    both: dict[str, Any] = {"secret_key": SecretStr(NEW_KEY), "secret_keys_old": SECRET_KEY}
    async with running(surroundings, **both) as notifier:
        assert (await notifier.ask("GET", path))["secret"] == endpoint["secret"]
    done = reencrypt(SECRET_KEY)
    assert done.returncode == 0, done.stderr
    async with running(surroundings, secret_key=SecretStr(NEW_KEY)) as notifier:
        shown = await notifier.ask("GET", path)
        assert (shown["secret"], shown["headers"]) == (endpoint["secret"], {"authorization": "Bearer example"})
    assert "0 secrets" in reencrypt("").stdout
