"""`/v1/signal-types` with example bodies, and the signed ping."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Depends

import schemas
from schemas.signals import TYPES, Ping
from services.notifier.api.deliveries import delivery_id_text
from services.notifier.api.documents import QueuedDelivery, SignalType, SignalTypes
from services.notifier.api.lookup import ENDPOINT_NOT_FOUND, existing
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.intake import Message
from services.runtime.api import problem_responses
from services.runtime.problems import Problem

PING = "endpoint.ping"
_EXAMPLES = Path(schemas.__file__).parent / "examples"
_DISABLED = (409, "endpoint_disabled", "The endpoint is disabled; enable it first.")


def signal_routes(
    *,
    endpoints: EndpointStore,
    deliveries: DeliveryStore,
    wake: Callable[[], None],
    may_read: Callable[..., Any],
    may_write: Callable[..., Any],
) -> APIRouter:
    """What can be received, and a way to try it."""
    router = APIRouter(tags=["signals"])

    @router.get("/v1/signal-types", dependencies=[Depends(may_read)], responses=problem_responses())
    async def list_signal_types() -> SignalTypes:
        """Every signal type with example bodies, exactly as they are sent."""
        return SignalTypes(data=[SignalType(type=name, examples=_examples(name)) for name in TYPES])

    @router.post(
        "/v1/endpoints/{endpoint_id}/ping",
        status_code=202,
        tags=["endpoints"],
        dependencies=[Depends(may_write)],
        responses=problem_responses(ENDPOINT_NOT_FOUND, _DISABLED),
    )
    async def ping_endpoint(endpoint_id: str) -> QueuedDelivery:
        """Send a signed `endpoint.ping`, whatever the endpoint's filters; the delivery tells how it went."""
        endpoint = await existing(endpoints, endpoint_id)
        message = _ping_message()
        number = await deliveries.ping(endpoint.id, message)
        if number is None:
            raise Problem(*_DISABLED)
        wake()
        return QueuedDelivery(delivery_id=delivery_id_text(number), signal_id=message.id)

    return router


def _ping_message() -> Message:
    ping = Ping(
        id=str(uuid.uuid4()),
        timestamp=datetime.now(UTC).replace(microsecond=0),
        summary="A test of this endpoint; no account is concerned.",
    )
    return Message(ping.id, PING, None, "live", None, msgspec.json.encode(ping))


@cache
def _examples(signal_type: str) -> list[dict[str, Any]]:
    """The examples shipped with the schemas; read once."""
    files = sorted((_EXAMPLES / signal_type).glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]
