"""The part of ingest's HTTP API that is not hot: API keys and the debugger. The hot routes are only documented here."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Response
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.bootstrap import bootstrap_routes
from services.ingest.debugger.routes import DebuggerParts, event_routes
from services.ingest.documentation import describe_hot_routes
from services.ingest.key_documents import (
    CreatedKey,
    KeyChange,
    KeyDocument,
    KeyList,
    KeyRequest,
    changed,
    shown,
    source_of,
)
from services.ingest.key_store import IdempotencyKeyReused, KeyRow, KeyStore, NewKey
from services.runtime.access import Principal, Scope, generate_key, hash_key
from services.runtime.api import new_api, problem_responses
from services.runtime.cursors import CURSOR_INVALID, LIMIT_DEFAULT, LIMIT_MAX, decode_by_age, encode_cursor
from services.runtime.key_ring import KeyRing, require
from services.runtime.problems import Problem

_KEY_NOT_LIVE = (404, "key_not_found", "There is no such key, or it is revoked; list the keys to find its id.")
_KEY_NOT_FOUND = (404, "key_not_found", "There is no such key; list the keys to find its id.")
_BROWSER_SCOPES = (409, "browser_key_scopes", "Give origins only to keys whose one scope is events:write.")
_ORIGINS_GONE = (409, "browser_key_origins", "Leave this key at least one origin, or revoke it: pages have shown it.")
_KEY_IN_USE = (409, "key_in_use", "Revoke this key with another one, or nobody might be left to do it.")
_KEY_REUSED = (409, "idempotency_key_reused", "This Idempotency-Key came with another request; use a new one.")
_REPEAT: dict[str, Any] = {
    "model": CreatedKey,
    "description": "A repeat; `key` is null, because keys are shown once",
}


def new_ingest_api(*, ring: KeyRing, keys: KeyStore, pepper: str, debugger: DebuggerParts) -> FastAPI:
    """The app behind the collector."""
    api = new_api(
        title="Firstvalue ingest",
        description="Takes usage events and commands; an event that was answered 200 is in Kafka.",
    )
    api.include_router(key_routes(ring=ring, keys=keys, pepper=pepper))
    api.include_router(event_routes(debugger, ring=ring))
    api.include_router(bootstrap_routes(ring=ring))
    describe_hot_routes(api)
    return api


def key_routes(*, ring: KeyRing, keys: KeyStore, pepper: str) -> APIRouter:
    """`/v1/keys`, for keys with the scope `admin`."""
    router = APIRouter(prefix="/v1/keys", tags=["keys"])
    # A default and not an annotation, which would be text that FastAPI cannot resolve.
    admin: Any = Depends(require(ring, Scope.ADMIN))

    @router.post(
        "",
        status_code=201,
        dependencies=[admin],
        responses={200: _REPEAT, **problem_responses(_KEY_REUSED)},
    )
    async def create_key(
        request: KeyRequest,
        response: Response,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> CreatedKey:
        """Create a key. Keep the answer: the key is shown once and stored as a hash."""
        created, is_new = await _create(keys, request, idempotency_key, pepper=pepper)
        await _refresh(ring)
        if not is_new:
            response.status_code = 200
        return created

    @router.get("", dependencies=[admin], responses=problem_responses(CURSOR_INVALID))
    async def list_keys(
        cursor: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    ) -> KeyList:
        """Keys, newest first, without their secrets."""
        after = None if cursor is None else decode_by_age(cursor)
        return _page(await keys.newest(after=after, most=limit + 1), limit)

    _add_changes(router, admin, ring=ring, keys=keys)
    return router


def _add_changes(router: APIRouter, admin: Any, *, ring: KeyRing, keys: KeyStore) -> None:
    @router.patch(
        "/{key_id}",
        dependencies=[admin],
        responses=problem_responses(_KEY_NOT_LIVE, _BROWSER_SCOPES, _ORIGINS_GONE),
    )
    async def change_key(key_id: str, change: KeyChange) -> KeyDocument:
        """Change a key's quota, limits, origins and redaction; it counts everywhere within two seconds."""
        row = None if "\0" in key_id else await keys.change(key_id, lambda row: _checked(row, change))
        if row is None:
            raise Problem(*_KEY_NOT_LIVE)
        await _refresh(ring)
        return KeyDocument(**shown(row))

    @router.delete(
        "/{key_id}",
        status_code=204,
        responses=problem_responses(_KEY_NOT_FOUND, _KEY_IN_USE),
    )
    async def revoke_key(key_id: str, caller: Principal = admin) -> None:
        """Revoke a key for good; it is refused everywhere within two seconds."""
        if key_id == caller.key_id:
            raise Problem(*_KEY_IN_USE)
        if "\0" in key_id or await keys.revoke(key_id) is None:
            raise Problem(*_KEY_NOT_FOUND)
        await _refresh(ring)


async def _create(
    keys: KeyStore, request: KeyRequest, idempotency_key: str | None, *, pepper: str
) -> tuple[CreatedKey, bool]:
    """(the answer, whether the key is new)."""
    if request.expires_at is not None and request.expires_at <= datetime.now(UTC):
        raise Problem(422, "invalid_request", "Correct body.expires_at: it is past.")
    key_id, key = generate_key()
    new = NewKey(
        key_id=key_id,
        name=request.name,
        scopes=tuple(sorted(set(request.scopes))),
        secret_hash=hash_key(key, pepper=pepper),
        expires_at=request.expires_at,
        idempotency_key=idempotency_key,
        request_hash=hashlib.sha256(request.model_dump_json().encode()).digest(),
        origins=tuple(request.origins),
        source=source_of(request),
    )
    try:
        row, is_new = await keys.create(new)
    except IdempotencyKeyReused as error:
        raise Problem(*_KEY_REUSED) from error
    return CreatedKey(**shown(row), key=key if is_new else None), is_new


def _checked(row: KeyRow, change: KeyChange) -> tuple[list[str], str | None]:
    origins, source = changed(row, change)
    if origins and set(row.scopes) != {Scope.EVENTS_WRITE}:
        raise Problem(*_BROWSER_SCOPES)
    if row.origins and not origins:
        # A key without origins works from anywhere.
        raise Problem(*_ORIGINS_GONE)
    return origins, source


def _page(rows: list[KeyRow], limit: int) -> KeyList:
    """The first `limit` of the rows, of which there is one more if another page follows."""
    page = rows[:limit]
    following = encode_cursor([page[-1].created_at.isoformat(), page[-1].id]) if len(rows) > limit else None
    return KeyList(data=[KeyDocument(**shown(row)) for row in page], next=following)


async def _refresh(ring: KeyRing) -> None:
    # What was stored stays stored, and the ring finds it within a second in any case.
    with contextlib.suppress(SQLAlchemyError, OSError):
        await ring.refresh()
