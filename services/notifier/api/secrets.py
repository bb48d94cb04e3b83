"""`/v1/endpoints/{id}/secret` and `/rotate`: the keys that sign, and who was shown them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Body, Depends, Request

from services.notifier.api.documents import AccessDocument, KeyDocument, RotatedSecret, SecretDocument
from services.notifier.api.endpoint_terms import Rotation
from services.notifier.api.parts import (
    ENDPOINT_NOT_FOUND,
    KEY_REUSED,
    IdempotencyKey,
    NotifierApiParts,
    own_key,
    request_hash,
)
from services.notifier.domain.signature import (
    SIGNATURES_MAX,
    Scheme,
    SecretRefused,
    SigningKey,
    new_key,
    parse_secret,
    public_key_text,
    secret_text,
)
from services.notifier.secret_box import SecretUnreadable
from services.notifier.store.endpoint_keys import TooManyKeys
from services.notifier.store.endpoints import EndpointStore, IdempotencyConflict
from services.notifier.store.secrets import Reader, Secrets
from services.runtime.access import Principal
from services.runtime.api import problem_responses
from services.runtime.problems import Problem

log = structlog.get_logger(__name__)

SECRET_INVALID = (422, "secret_invalid", "Write the secret as whsec_ and base64 of 24-64 bytes, or as whsk_ (ed25519).")
_GENERATED_BYTES = 32
_UNREADABLE = (500, "secret_unreadable", "Set the key that the secret was written with in …_SECRET_KEYS_OLD.")
_TOO_MANY = (
    409,
    "too_many_keys",
    f"{SIGNATURES_MAX} keys sign already; wait until one ends, or rotate with keep_seconds 0, which ends them all.",
)
_ROTATION = (ENDPOINT_NOT_FOUND, SECRET_INVALID, KEY_REUSED, _TOO_MANY, _UNREADABLE)


def secret_routes(parts: NotifierApiParts) -> APIRouter:
    """Show and rotate, below the endpoints' own prefix."""
    router, allowed = APIRouter(), Depends(parts.may_write)

    @router.get("/{endpoint_id}/secret", responses=problem_responses(ENDPOINT_NOT_FOUND, _UNREADABLE))
    async def get_secret(endpoint_id: str, request: Request, caller: Principal = allowed) -> SecretDocument:
        """The secrets that sign now, and who was shown them; every call adds a row of its own to that list."""
        await parts.existing(endpoint_id)
        try:
            opened, shown = await parts.signing.show(endpoint_id, reader_of(caller, request))
        except SecretUnreadable as error:
            raise Problem(500, "secret_unreadable", str(error)) from None
        log.info("secret_shown", endpoint=endpoint_id, key=caller.key_id)
        accesses = [AccessDocument.model_validate(one, from_attributes=True) for one in shown]
        return SecretDocument(**_fields(opened), headers=dict(opened.headers), shown=accesses)

    @router.post("/{endpoint_id}/rotate", responses=problem_responses(*_ROTATION))
    async def rotate_secret(
        endpoint_id: str,
        request: Request,
        body: Annotated[Rotation | None, Body()] = None,
        caller: Principal = allowed,
        idempotency_key: IdempotencyKey = None,
    ) -> RotatedSecret:
        """Sign with a new key at once; the ones before sign as well for a day, or for `keep_seconds`."""
        await parts.existing(endpoint_id)
        wanted = body or Rotation()
        reader = reader_of(caller, request)
        try:
            opened = await parts.signing.rotate(
                endpoint_id,
                made_key(wanted.secret, await _scheme(parts.endpoints, endpoint_id, wanted)),
                keep_seconds=0 if wanted.expire_now else wanted.keep_seconds,
                reader=reader,
                idempotency_key=own_key(caller, idempotency_key),
                request_hash=request_hash(wanted),
            )
        except IdempotencyConflict:
            raise Problem(*KEY_REUSED) from None
        except TooManyKeys:
            raise Problem(*_TOO_MANY) from None
        except SecretUnreadable as error:
            raise Problem(500, "secret_unreadable", str(error)) from None
        if opened is None:
            raise Problem(*ENDPOINT_NOT_FOUND)
        log.info("secret_rotated", endpoint=endpoint_id, key=caller.key_id)
        parts.wake()
        return RotatedSecret(**_fields(opened))

    return router


def reader_of(caller: Principal, request: Request) -> Reader:
    """Who is about to see a secret."""
    return Reader(key_id=caller.key_id, key_name=caller.name, request_id=str(request.scope.get("request_id", "")))


def made_key(text: str | None, scheme: Scheme) -> SigningKey:
    """The key in `text`, or a new one; Problem 422 `secret_invalid`."""
    if text is None:
        return new_key(scheme, secrets.token_bytes(_GENERATED_BYTES))
    try:
        return parse_secret(text)
    except SecretRefused as refusal:
        raise Problem(422, "secret_invalid", str(refusal)) from None


async def _scheme(store: EndpointStore, endpoint_id: str, wanted: Rotation) -> Scheme:
    """What was asked for, else what signs now."""
    if wanted.signature is not None or wanted.secret is not None:
        return Scheme(wanted.signature or Scheme.HMAC_SHA256)
    ((_, opened),) = await store.sendable([endpoint_id])
    return opened.keys[0].scheme if opened.keys else Scheme.HMAC_SHA256


def _fields(opened: Secrets) -> dict[str, Any]:
    newest = opened.keys[0]
    return {
        "secret": secret_text(newest),
        "public_key": public_key_text(newest),
        "secrets": [secret_text(key) for key in opened.keys],
        "keys": [_key_document(key) for key in opened.keys],
    }


def _key_document(key: SigningKey) -> KeyDocument:
    ends = None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC)
    return KeyDocument(
        secret=secret_text(key), public_key=public_key_text(key), version=key.scheme.value, expires_at=ends
    )
