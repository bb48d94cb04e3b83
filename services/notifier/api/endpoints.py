"""`/v1/endpoints`: who receives signals, and on which terms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request

from services.notifier.api.documents import (
    CreatedEndpoint,
    EnabledEndpoint,
    EnableRequest,
    EndpointDocument,
    EndpointList,
)
from services.notifier.api.endpoint_terms import EndpointChanges, NewEndpoint
from services.notifier.api.parts import (
    ENDPOINT_NOT_FOUND,
    KEY_REUSED,
    IdempotencyKey,
    NotifierApiParts,
    own_key,
    request_hash,
)
from services.notifier.api.secrets import SECRET_INVALID, made_key, reader_of, secret_routes
from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX
from services.notifier.domain.signature import Scheme, public_key_text, secret_text
from services.notifier.store.endpoint_rows import Endpoint
from services.notifier.store.endpoints import IdempotencyConflict, TooManyEndpoints
from services.runtime.access import Principal
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, LIMIT_DEFAULT, LIMIT_MAX, decode_by_age, encode_cursor
from services.runtime.problems import Problem

_BEFORE_ALL = (datetime.min.replace(tzinfo=UTC), "")
_REFUSED = (
    (422, "url_invalid", "Write the URL as https://host/path."),
    (422, "address_forbidden", "Use a public https address, or have the operator open this one."),
    (422, "type_unknown", "GET /v1/signal-types lists the types; `account.*` is all of a family."),
    (422, "time_zone_unknown", "Write the time zone as an IANA name, such as Europe/Berlin."),
    (422, "burst_without_rate", "Give rate_per_second as well, or leave burst out."),
)
_CREATION = (
    *_REFUSED,
    KEY_REUSED,
    (409, "too_many_endpoints", "Delete endpoints that are no longer used."),
    SECRET_INVALID,
)


def endpoint_routes(parts: NotifierApiParts) -> APIRouter:
    """All but ping."""
    router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])
    _add_reading(router, parts)
    _add_writing(router, parts)
    _add_deletion(router, parts)
    _add_switches(router, parts)
    router.include_router(secret_routes(parts))
    return router


def _add_reading(router: APIRouter, parts: NotifierApiParts) -> None:
    may_read = Depends(parts.may_read)

    @router.get("", dependencies=[may_read], responses=problem_responses(CURSOR_INVALID))
    async def list_endpoints(
        cursor: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    ) -> EndpointList:
        """Endpoints, oldest first."""
        after = _BEFORE_ALL if cursor is None else decode_by_age(cursor)
        rows = await parts.endpoints.page(after=after, limit=limit + 1)
        page = rows[:limit]
        following = encode_cursor([page[-1].created_at.isoformat(), page[-1].id]) if len(rows) > limit else None
        return EndpointList(data=[EndpointDocument(**_fields(row)) for row in page], next=following)

    @router.get("/{endpoint_id}", dependencies=[may_read], responses=problem_responses(ENDPOINT_NOT_FOUND))
    async def get_endpoint(endpoint_id: str) -> EndpointDocument:
        """One endpoint."""
        return EndpointDocument(**_fields(await parts.existing(endpoint_id)))


def _add_writing(router: APIRouter, parts: NotifierApiParts) -> None:
    may_write = Depends(parts.may_write)

    @router.post("", status_code=201, responses=problem_responses(*_CREATION))
    async def create_endpoint(
        body: NewEndpoint,
        request: Request,
        caller: Principal = may_write,
        idempotency_key: IdempotencyKey = None,
    ) -> CreatedEndpoint:
        """Create an endpoint; the answer has its secret. A repeat with the same Idempotency-Key answers the same."""
        terms = await parts.vetting.terms(body.model_dump(by_alias=True, exclude={"secret", "signature"}))
        headers = terms.pop("headers")
        try:
            endpoint, key = await parts.endpoints.create(
                terms | {"header_names": sorted(headers)},
                made_key(body.secret, Scheme(body.signature)),
                headers=headers,
                reader=reader_of(caller, request),
                idempotency_key=own_key(caller, idempotency_key),
                request_hash=request_hash(body),
            )
        except IdempotencyConflict:
            raise Problem(*KEY_REUSED) from None
        except TooManyEndpoints:
            message = f"There are {ENDPOINTS_MAX} endpoints already; delete some that are no longer used."
            raise Problem(409, "too_many_endpoints", message) from None
        return CreatedEndpoint(**_fields(endpoint), secret=secret_text(key), public_key=public_key_text(key))

    @router.patch(
        "/{endpoint_id}", dependencies=[may_write], responses=problem_responses(ENDPOINT_NOT_FOUND, *_REFUSED)
    )
    async def change_endpoint(endpoint_id: str, body: EndpointChanges) -> EndpointDocument:
        """Change some of an endpoint's terms; they hold within a second."""
        before = await parts.existing(endpoint_id)
        asked = {name: value for name, value in body.model_dump(by_alias=True).items() if name in body.model_fields_set}
        enabled = asked.pop("enabled", None)
        changes = await parts.vetting.terms(asked, rate_before=before.rate_per_second)
        headers = changes.pop("headers", None)
        if headers is not None:
            changes["header_names"] = sorted(headers)
        if changes:
            await parts.endpoints.update(endpoint_id, changes, headers=headers)
        if enabled is not None:
            # Who sends all terms again and again asks for no attempt by it: as little as with the URL that it has.
            await parts.endpoints.set_enabled(endpoint_id, enabled, again=False)
        parts.wake()
        return EndpointDocument(**_fields(await parts.existing(endpoint_id)))


def _add_deletion(router: APIRouter, parts: NotifierApiParts) -> None:
    may_write = Depends(parts.may_write)

    @router.delete(
        "/{endpoint_id}", status_code=204, dependencies=[may_write], responses=problem_responses(ENDPOINT_NOT_FOUND)
    )
    async def delete_endpoint(endpoint_id: str) -> None:
        """Delete an endpoint and its secrets; what it still waits for is cancelled."""
        await parts.existing(endpoint_id)
        await parts.endpoints.delete(endpoint_id)


def _add_switches(router: APIRouter, parts: NotifierApiParts) -> None:
    may_write = Depends(parts.may_write)

    @router.post("/{endpoint_id}/enable", dependencies=[may_write], responses=problem_responses(ENDPOINT_NOT_FOUND))
    async def enable_endpoint(
        endpoint_id: str, request: Annotated[EnableRequest | None, Body()] = None
    ) -> EnabledEndpoint:
        """Deliver again, at once; `send_held` adds what was held while it was disabled."""
        return await _switch(parts, endpoint_id, enabled=True, send_held=bool(request and request.send_held))

    @router.post("/{endpoint_id}/disable", dependencies=[may_write], responses=problem_responses(ENDPOINT_NOT_FOUND))
    async def disable_endpoint(endpoint_id: str) -> EnabledEndpoint:
        """Deliver nothing; new signals for it are held, what was queued waits."""
        return await _switch(parts, endpoint_id, enabled=False)


async def _switch(
    parts: NotifierApiParts, endpoint_id: str, *, enabled: bool, send_held: bool = False
) -> EnabledEndpoint:
    await parts.existing(endpoint_id)
    held = await parts.endpoints.set_enabled(endpoint_id, enabled, send_held=send_held)
    parts.wake()
    return EnabledEndpoint(**_fields(await parts.existing(endpoint_id)), held=held or 0)


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    status = "disabled" if not endpoint.enabled else "failing" if endpoint.failing_since else "enabled"
    shown = EndpointDocument.model_fields.keys() - {"status"}
    return {"status": status, **{name: getattr(endpoint, name) for name in shown}}
