"""The part of ingest's HTTP API that is not hot: API keys and the debugger. The hot routes are only documented here."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy.exc import SQLAlchemyError

from services.ingest.bootstrap import bootstrap_routes
from services.ingest.debugger.routes import DebuggerParts, event_routes
from services.ingest.documentation import describe_hot_routes
from services.ingest.key_store import IdempotencyKeyReused, KeyRow, KeyStore, NewKey
from services.ingest.origins import ORIGINS_MAX, readable_origin
from services.runtime.access import Principal, Scope, generate_key, hash_key
from services.runtime.api import new_api, problem_responses
from services.runtime.cursors import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, encode_cursor
from services.runtime.key_ring import KeyRing, require
from services.runtime.problems import Problem

_EXAMPLE_ROW: dict[str, Any] = {
    "id": "k7f3a2qwmz4tc",
    "name": "product backend",
    "scopes": ["events:write"],
    "created_at": "2026-11-20T10:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "origins": [],
}
_EXAMPLE_KEY = "fv_k7f3a2qwmz4tc_2l4vdm5k7sxhq3w6njy2a5rbtp7ufe6c_9d1c0b7e"
_CURSOR_INVALID = (400, "cursor_invalid", "Use the `next` of an earlier answer as cursor, or leave it out.")
_KEY_NOT_FOUND = (404, "key_not_found", "There is no such key; list the keys to find its id.")
_KEY_IN_USE = (409, "key_in_use", "Revoke this key with another one, or nobody might be left to do it.")
_KEY_REUSED = (409, "idempotency_key_reused", "This Idempotency-Key came with another request; use a new one.")
_NO_NUL = r"^[^\x00]+$"


class KeyRequest(BaseModel):
    """A key to create."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "product backend", "scopes": ["events:write"]}}
    )

    name: str = Field(min_length=1, max_length=200, pattern=_NO_NUL, description="Who or what uses it")
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope), description="What it may do")
    expires_at: AwareDatetime | None = Field(None, description="Last moment of validity; never, if left out")
    origins: list[str] = Field(
        default=[],
        max_length=ORIGINS_MAX,
        description="Pages that may use it, as https://app.acme.example; none: servers",
    )

    @field_validator("origins")
    @classmethod
    def _readable_origins(cls, origins: list[str]) -> list[str]:
        return sorted({readable_origin(origin) for origin in origins})

    @model_validator(mode="after")
    def _browsers_only_write_events(self) -> Self:
        if self.origins and set(self.scopes) != {Scope.EVENTS_WRITE}:
            raise ValueError("a key with origins is seen by everybody: give it the scope events:write alone")
        return self


class KeyDocument(BaseModel):
    """A key as it is listed."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_ROW})

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    origins: list[str]


class CreatedKey(KeyDocument):
    """The one answer that holds the key itself; null when the request is a repeat of one that was answered."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE_ROW, "key": _EXAMPLE_KEY}})

    key: str | None


_REPEAT: dict[str, Any] = {
    "model": CreatedKey,
    "description": "A repeat; `key` is null, because keys are shown once",
}


class KeyList(BaseModel):
    """A page of keys, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"data": [_EXAMPLE_ROW], "next": None}})

    data: list[KeyDocument]
    next: str | None


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

    @router.get("", dependencies=[admin], responses=problem_responses(_CURSOR_INVALID))
    async def list_keys(
        cursor: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    ) -> KeyList:
        """Keys, newest first, without their secrets."""
        return _page(await keys.newest(after=_position(cursor), most=limit + 1), limit)

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

    return router


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
    )
    try:
        row, is_new = await keys.create(new)
    except IdempotencyKeyReused as error:
        raise Problem(*_KEY_REUSED) from error
    return CreatedKey(**_fields(row), key=key if is_new else None), is_new


def _page(rows: list[KeyRow], limit: int) -> KeyList:
    """The first `limit` of the rows, of which there is one more if another page follows."""
    page = rows[:limit]
    following = encode_cursor([page[-1].created_at.isoformat(), page[-1].id]) if len(rows) > limit else None
    return KeyList(data=[KeyDocument(**_fields(row)) for row in page], next=following)


async def _refresh(ring: KeyRing) -> None:
    # What was stored stays stored, and the ring finds it within a second in any case.
    with contextlib.suppress(SQLAlchemyError, OSError):
        await ring.refresh()


def _position(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    created_at, key_id = decode_cursor(cursor, str, str)
    try:
        return datetime.fromisoformat(created_at), key_id
    except ValueError as error:
        raise Problem(*_CURSOR_INVALID) from error


def _fields(row: KeyRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in KeyRow.__slots__}
