"""What the routes work with, and what several of them answer alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel

from services.notifier.api.vetting import EndpointVetting
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.endpoint_keys import EndpointKeys
from services.notifier.store.endpoint_rows import Endpoint
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.replays import ReplayStore
from services.runtime.access import Principal, Scope
from services.runtime.key_ring import KeyRing, require
from services.runtime.problems import Problem

ENDPOINT_NOT_FOUND = (404, "endpoint_not_found", "There is no such endpoint; list the endpoints to find its id.")
ENDPOINT_DISABLED = (409, "endpoint_disabled", "The endpoint is disabled; enable it first.")
KEY_REUSED = (409, "idempotency_key_reused", "This Idempotency-Key belongs to a different request; use a new one.")

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierApiParts:
    """The stores and rules behind the API; `wake` tells the claimer that something is due."""

    keys: KeyRing
    endpoints: EndpointStore
    signing: EndpointKeys
    deliveries: DeliveryStore
    replays: ReplayStore
    vetting: EndpointVetting
    wake: Callable[[], None]

    @property
    def may_read(self) -> Callable[..., Any]:
        """Requires a key that may look at webhooks."""
        return require(self.keys, Scope.WEBHOOKS_READ)

    @property
    def may_write(self) -> Callable[..., Any]:
        """Requires a key that may change them."""
        return require(self.keys, Scope.WEBHOOKS_WRITE)

    async def existing(self, endpoint_id: str) -> Endpoint:
        """The endpoint that a path names; Problem 404 `endpoint_not_found`."""
        endpoint = None if "\0" in endpoint_id else await self.endpoints.get(endpoint_id)
        if endpoint is None:
            raise Problem(*ENDPOINT_NOT_FOUND)
        return endpoint


def own_key(caller: Principal, idempotency_key: str | None) -> str | None:
    """The Idempotency-Key as it is stored: that of one caller is not another's."""
    return f"{caller.key_id}:{idempotency_key}" if idempotency_key else None


def request_hash(body: BaseModel) -> bytes:
    """By which a repeat is told from another request under the same key."""
    return hashlib.sha256(body.model_dump_json().encode()).digest()
