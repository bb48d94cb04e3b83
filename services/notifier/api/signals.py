"""`/v1/signal-types` with example bodies, and what tries an endpoint: the signed ping, and examples sent to it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Depends

import schemas
from schemas.signals import TYPES, Ping
from services.notifier.api.deliveries import delivery_id_text
from services.notifier.api.documents import ExampleRequest, QueuedDelivery, SignalType, SignalTypes
from services.notifier.api.parts import (
    ENDPOINT_DISABLED,
    ENDPOINT_NOT_FOUND,
    KEY_REUSED,
    IdempotencyKey,
    NotifierApiParts,
)
from services.notifier.domain.slack import slack_body
from services.notifier.store.deliveries import TestDiffers
from services.notifier.store.endpoint_rows import Endpoint
from services.notifier.store.intake import Message
from services.runtime.access import Principal
from services.runtime.api import problem_responses
from services.runtime.problems import Problem

PING = "endpoint.ping"
_EXAMPLES = Path(schemas.__file__).parent / "examples"
# The namespace of ids that are made from an Idempotency-Key.
_TESTS = uuid.UUID("6f1a4c1e-5d53-4c3c-9d53-2a1f0a3f7a55")
_TYPE_UNKNOWN = (422, "type_unknown", "GET /v1/signal-types lists the types.")


def signal_routes(parts: NotifierApiParts) -> APIRouter:
    """What can be received, and ways to try it."""
    router = APIRouter(tags=["signals"])

    @router.get("/v1/signal-types", dependencies=[Depends(parts.may_read)], responses=problem_responses())
    async def list_signal_types() -> SignalTypes:
        """Every signal type with example bodies, exactly as they are sent."""
        return SignalTypes(data=[SignalType(type=name, examples=_examples(name)) for name in TYPES])

    _add_tests(router, parts)
    return router


def _add_tests(router: APIRouter, parts: NotifierApiParts) -> None:
    allowed = Depends(parts.may_write)

    @router.post(
        "/v1/endpoints/{endpoint_id}/ping",
        status_code=202,
        tags=["endpoints"],
        responses=problem_responses(ENDPOINT_NOT_FOUND, ENDPOINT_DISABLED, KEY_REUSED),
    )
    async def ping_endpoint(
        endpoint_id: str, caller: Principal = allowed, idempotency_key: IdempotencyKey = None
    ) -> QueuedDelivery:
        """Send a signed `endpoint.ping`, whatever the endpoint's filters; the delivery tells how it went."""
        endpoint = await parts.existing(endpoint_id)
        ping = Ping(
            id=_message_id(caller, endpoint_id, idempotency_key),
            timestamp=datetime.now(UTC).replace(microsecond=0),
            summary="A test of this endpoint; no account is concerned.",
        )
        return await _send(parts, endpoint, Message(ping.id, PING, None, "live", None, msgspec.json.encode(ping)))

    @router.post(
        "/v1/endpoints/{endpoint_id}/send-example",
        status_code=202,
        tags=["endpoints"],
        responses=problem_responses(ENDPOINT_NOT_FOUND, ENDPOINT_DISABLED, KEY_REUSED, _TYPE_UNKNOWN),
    )
    async def send_example(
        endpoint_id: str, body: ExampleRequest, caller: Principal = allowed, idempotency_key: IdempotencyKey = None
    ) -> QueuedDelivery:
        """Send a signal type's example, signed, whatever the endpoint's filters; its body says `"example": true`."""
        endpoint = await parts.existing(endpoint_id)
        if body.type not in TYPES:
            raise Problem(422, "type_unknown", f"There is no type {body.type}; GET /v1/signal-types lists them.")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        message_id = _message_id(caller, endpoint_id, idempotency_key)
        sent = {**_examples(body.type)[0], "id": message_id, "timestamp": now, "example": True}
        return await _send(
            parts, endpoint, Message(message_id, body.type, None, "live", None, msgspec.json.encode(sent))
        )


async def _send(parts: NotifierApiParts, endpoint: Endpoint, message: Message) -> QueuedDelivery:
    for_slack = slack_body(msgspec.json.decode(message.body)) if endpoint.format == "slack" else None
    try:
        number = await parts.deliveries.send_test(endpoint.id, message, slack_body=for_slack)
    except TestDiffers:
        raise Problem(*KEY_REUSED) from None
    if number is None:
        raise Problem(*ENDPOINT_DISABLED)
    parts.wake()
    return QueuedDelivery(delivery_id=delivery_id_text(number), signal_id=message.id)


def _message_id(caller: Principal, endpoint_id: str, idempotency_key: str | None) -> str:
    """A new id, or the one that this caller's request with this key had before."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_TESTS, f"{caller.key_id}:{endpoint_id}:{idempotency_key}"))


@cache
def _examples(signal_type: str) -> list[dict[str, Any]]:
    """The examples shipped with the schemas; read once."""
    files = sorted((_EXAMPLES / signal_type).glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]
