"""`/v1/endpoints`: who receives signals, and on which terms."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Body, Depends, Header, Query

from services.notifier.api.documents import (
    CreatedEndpoint,
    EnabledEndpoint,
    EnableRequest,
    EndpointChanges,
    EndpointDocument,
    EndpointList,
    NewEndpoint,
    SecretDocument,
)
from services.notifier.api.vetting import EndpointVetting
from services.notifier.domain.signature import Scheme, SecretRefused, SigningKey, parse_secret, secret_text
from services.notifier.store.endpoints import (
    ENDPOINTS_MAX,
    Endpoint,
    EndpointStore,
    IdempotencyConflict,
    TooManyEndpoints,
)
from services.runtime.access import Principal
from services.runtime.api import problem_responses
from services.runtime.cursors import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, encode_cursor
from services.runtime.problems import Problem

log = structlog.get_logger(__name__)

_GENERATED_SECRET_BYTES = 32
_NOT_FOUND = (404, "endpoint_not_found", "There is no such endpoint; list the endpoints to find its id.")
_CURSOR_INVALID = (400, "cursor_invalid", "Use the `next` of an earlier answer as cursor, or leave it out.")
_REFUSED = (
    (422, "url_invalid", "Write the URL as https://host/path."),
    (422, "address_forbidden", "Use a public https address, or have the operator open this one."),
    (422, "type_unknown", "GET /v1/signal-types lists the types; `account.*` is all of a family."),
)
_CREATION = (
    *_REFUSED,
    (409, "idempotency_key_reused", "Use a new Idempotency-Key for another request."),
    (409, "too_many_endpoints", "Delete endpoints that are no longer used."),
    (422, "secret_invalid", "Write the secret as whsec_ and base64 of 24-64 bytes."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRouteParts:
    """What the routes work with."""

    store: EndpointStore
    vetting: EndpointVetting
    wake: Callable[[], None]
    may_read: Callable[..., Any]
    may_write: Callable[..., Any]


def endpoint_routes(parts: EndpointRouteParts) -> APIRouter:
    """All but ping."""
    router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])
    _add_reading(router, parts)
    _add_writing(router, parts)
    _add_switches(router, parts)
    return router


def _add_reading(router: APIRouter, parts: EndpointRouteParts) -> None:
    may_read, may_write = Depends(parts.may_read), Depends(parts.may_write)

    @router.get("", dependencies=[may_read], responses=problem_responses(_CURSOR_INVALID))
    async def list_endpoints(
        cursor: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    ) -> EndpointList:
        """Endpoints, oldest first."""
        rows = await parts.store.page(after=_position(cursor), limit=limit + 1)
        page = rows[:limit]
        following = encode_cursor([page[-1].created_at.isoformat(), page[-1].id]) if len(rows) > limit else None
        return EndpointList(data=[EndpointDocument(**_fields(row)) for row in page], next=following)

    @router.get("/{endpoint_id}", dependencies=[may_read], responses=problem_responses(_NOT_FOUND))
    async def get_endpoint(endpoint_id: str) -> EndpointDocument:
        """One endpoint."""
        return EndpointDocument(**_fields(await existing(parts.store, endpoint_id)))

    @router.get("/{endpoint_id}/secret", responses=problem_responses(_NOT_FOUND))
    async def get_secret(endpoint_id: str, caller: Principal = may_write) -> SecretDocument:
        """The secrets that sign now. Every call is logged with the key that made it."""
        endpoint = await existing(parts.store, endpoint_id)
        keys = (await parts.store.keys([endpoint.id]))[endpoint.id]
        log.info("secret_shown", endpoint=endpoint.id, key=caller.key_id)
        return SecretDocument(secret=secret_text(keys[0]), secrets=[secret_text(key) for key in keys])


def _add_writing(router: APIRouter, parts: EndpointRouteParts) -> None:
    may_write = Depends(parts.may_write)

    @router.post("", status_code=201, responses=problem_responses(*_CREATION))
    async def create_endpoint(
        request: NewEndpoint,
        caller: Principal = may_write,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> CreatedEndpoint:
        """Create an endpoint; the answer has its secret. A repeat with the same Idempotency-Key answers the same."""
        terms = request.model_dump(exclude={"secret"})
        terms["url"] = await parts.vetting.url(request.url)
        parts.vetting.types(request.types)
        asked = hashlib.sha256(request.model_dump_json().encode()).digest()
        repeat_key = f"{caller.key_id}:{idempotency_key}" if idempotency_key else None
        try:
            endpoint, key = await parts.store.create(
                terms, _new_key(request.secret), idempotency_key=repeat_key, request_hash=asked
            )
        except IdempotencyConflict:
            message = "This Idempotency-Key belongs to a different request; use a new one."
            raise Problem(409, "idempotency_key_reused", message) from None
        except TooManyEndpoints:
            message = f"There are {ENDPOINTS_MAX} endpoints already; delete some that are no longer used."
            raise Problem(409, "too_many_endpoints", message) from None
        return CreatedEndpoint(**_fields(endpoint), secret=secret_text(key))

    @router.patch("/{endpoint_id}", dependencies=[may_write], responses=problem_responses(_NOT_FOUND, *_REFUSED))
    async def change_endpoint(endpoint_id: str, request: EndpointChanges) -> EndpointDocument:
        """Change some of an endpoint's terms; they hold for attempts claimed from now on."""
        await existing(parts.store, endpoint_id)
        changes = request.model_dump(exclude_none=True)
        if request.url is not None:
            changes["url"] = await parts.vetting.url(request.url)
        parts.vetting.types(request.types or [])
        enabled = changes.pop("enabled", None)
        if changes:
            await parts.store.update(endpoint_id, changes)
        if enabled is not None:
            await parts.store.set_enabled(endpoint_id, enabled)
            parts.wake()
        return EndpointDocument(**_fields(await existing(parts.store, endpoint_id)))

    @router.delete("/{endpoint_id}", status_code=204, dependencies=[may_write], responses=problem_responses(_NOT_FOUND))
    async def delete_endpoint(endpoint_id: str) -> None:
        """Delete an endpoint and its secrets; what it still waits for is cancelled."""
        await existing(parts.store, endpoint_id)
        await parts.store.delete(endpoint_id)


def _add_switches(router: APIRouter, parts: EndpointRouteParts) -> None:
    may_write = Depends(parts.may_write)

    @router.post("/{endpoint_id}/enable", dependencies=[may_write], responses=problem_responses(_NOT_FOUND))
    async def enable_endpoint(
        endpoint_id: str, request: Annotated[EnableRequest | None, Body()] = None
    ) -> EnabledEndpoint:
        """Deliver again, at once; `send_held` adds what was held while it was disabled."""
        return await _switch(parts, endpoint_id, enabled=True, send_held=bool(request and request.send_held))

    @router.post("/{endpoint_id}/disable", dependencies=[may_write], responses=problem_responses(_NOT_FOUND))
    async def disable_endpoint(endpoint_id: str) -> EnabledEndpoint:
        """Deliver nothing; new signals for it are held, what was queued waits."""
        return await _switch(parts, endpoint_id, enabled=False)


async def _switch(
    parts: EndpointRouteParts, endpoint_id: str, *, enabled: bool, send_held: bool = False
) -> EnabledEndpoint:
    await existing(parts.store, endpoint_id)
    held = await parts.store.set_enabled(endpoint_id, enabled, send_held=send_held)
    parts.wake()
    return EnabledEndpoint(**_fields(await existing(parts.store, endpoint_id)), held=held or 0)


async def existing(store: EndpointStore, endpoint_id: str) -> Endpoint:
    """The endpoint; Problem 404 `endpoint_not_found`."""
    endpoint = None if "\0" in endpoint_id else await store.get(endpoint_id)
    if endpoint is None:
        raise Problem(*_NOT_FOUND)
    return endpoint


def _new_key(text: str | None) -> SigningKey:
    if text is None:
        return SigningKey(Scheme.HMAC_SHA256, secrets.token_bytes(_GENERATED_SECRET_BYTES))
    try:
        return parse_secret(text)
    except SecretRefused as refusal:
        raise Problem(422, "secret_invalid", str(refusal)) from None


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    status = "disabled" if not endpoint.enabled else "failing" if endpoint.failing_since else "enabled"
    shown = EndpointDocument.model_fields.keys() - {"status"}
    return {"status": status, **{name: getattr(endpoint, name) for name in shown}}


def _position(cursor: str | None) -> tuple[datetime, str]:
    if cursor is None:
        return datetime.min.replace(tzinfo=UTC), ""
    moment, endpoint_id = decode_cursor(cursor, str, str)
    try:
        return datetime.fromisoformat(moment), endpoint_id
    except ValueError:
        raise Problem(*_CURSOR_INVALID) from None
