"""Endpoints and their sealed secrets."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.domain.signature import Scheme, SigningKey
from services.notifier.secret_box import Sealed, SecretBox, SecretUnreadable
from services.notifier.store.locks import CHANGE_ENDPOINTS

log = structlog.get_logger(__name__)

ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
ENDPOINTS_MAX = 10_000

_COLUMNS = """e.id, e.url, e.description, e.format, e.types, e.origins, e.timeout_seconds, e.concurrency_max, e.enabled,
    e.disabled_reason, e.revision, e.created_at, e.updated_at, g.failing_since"""
_FROM = "notifier.endpoint e JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id"

_INSERT = sa.text(
    """INSERT INTO notifier.endpoint
        (id, url, description, format, types, origins, timeout_seconds, concurrency_max, enabled, idempotency_key,
         request_hash)
    VALUES (:id, :url, :description, :format, CAST(:types AS text[]), CAST(:origins AS text[]), :timeout_seconds,
        :concurrency_max, :enabled, :idempotency_key, :request_hash)
    ON CONFLICT (idempotency_key) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id"""
)
_INSERT_GATE = sa.text("INSERT INTO notifier.endpoint_gate (endpoint_id) VALUES (:id)")
_INSERT_SECRET = sa.text(
    """INSERT INTO notifier.endpoint_secret (endpoint_id, scheme, key_id, nonce, ciphertext)
    VALUES (:endpoint_id, :scheme, :key_id, :nonce, :ciphertext)"""
)
_BY_IDEMPOTENCY_KEY = sa.text(
    "SELECT id, request_hash FROM notifier.endpoint WHERE idempotency_key = :key AND deleted_at IS NULL"
)
_COUNT = sa.text("SELECT count(*) FROM notifier.endpoint WHERE deleted_at IS NULL")
_GET = sa.text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE e.id = :id AND e.deleted_at IS NULL")  # noqa: S608 - constants
_LIST = sa.text(
    f"SELECT {_COLUMNS} FROM {_FROM} WHERE e.deleted_at IS NULL AND (e.created_at, e.id) > (:after_at, :after_id) "  # noqa: S608
    "ORDER BY e.created_at, e.id LIMIT :limit"
)
_SENDABLE = sa.text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE e.id = ANY(CAST(:ids AS text[]))")  # noqa: S608
# Newest first: that is the order of signatures.
_SECRETS = sa.text(
    """SELECT endpoint_id, scheme, key_id, nonce, ciphertext FROM notifier.endpoint_secret
    WHERE endpoint_id = ANY(CAST(:ids AS text[])) AND (expires_at IS NULL OR expires_at > now()) ORDER BY id DESC"""
)
_DELETE = sa.text(
    """UPDATE notifier.endpoint SET deleted_at = now(), enabled = false, revision = revision + 1
    WHERE id = :id AND deleted_at IS NULL RETURNING id"""
)
_DELETE_SECRETS = sa.text("DELETE FROM notifier.endpoint_secret WHERE endpoint_id = :id")
_CANCEL = sa.text(
    """UPDATE notifier.delivery SET status = 'cancelled', hold_reason = NULL, next_at = NULL, lease_until = NULL
    WHERE endpoint_id = :id AND status IN ('pending', 'leased', 'held')"""
)
_ENABLE = sa.text(
    """UPDATE notifier.endpoint
    SET enabled = :enabled, disabled_reason = :reason, revision = revision + 1, updated_at = now()
    WHERE id = :id AND deleted_at IS NULL RETURNING id"""
)
_OPEN_GATE = sa.text(
    "UPDATE notifier.endpoint_gate SET not_before = '-infinity', failures = 0, failing_since = NULL "
    "WHERE endpoint_id = :id"
)
_COUNT_HELD = sa.text("SELECT count(*) FROM notifier.delivery WHERE endpoint_id = :id AND status = 'held'")
# Held because of the backlog is what maintenance releases, oldest first and within the cap.
_RELEASE_HELD = sa.text(
    "UPDATE notifier.delivery SET hold_reason = 'backlog' WHERE endpoint_id = :id AND status = 'held'"
)

PATCHABLE = ("url", "description", "types", "origins", "timeout_seconds", "concurrency_max")
_CASTS = {"types": "CAST(:types AS text[])", "origins": "CAST(:origins AS text[])"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A subscriber's URL and its terms, as stored."""

    id: str
    url: str
    description: str
    format: str
    types: list[str]
    origins: list[str]
    timeout_seconds: float
    concurrency_max: int
    enabled: bool
    disabled_reason: str | None
    revision: int
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None


class IdempotencyConflict(Exception):
    """The Idempotency-Key was used before for a different request."""


class TooManyEndpoints(Exception):
    """The deployment has ENDPOINTS_MAX endpoints."""


class EndpointStore:
    """Reads and changes endpoints; secrets go in and out in the clear and are stored sealed."""

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        self._engine = engine
        self._box = box

    async def create(
        self, terms: Mapping[str, Any], key: SigningKey, *, idempotency_key: str | None, request_hash: bytes
    ) -> tuple[Endpoint, SigningKey]:
        """The new endpoint and its key, or those of an earlier request with the same idempotency key.

        Raises IdempotencyConflict and TooManyEndpoints.
        """
        endpoint_id = "ep_" + "".join(secrets.choice(ID_CHARACTERS) for _ in range(20))
        row = {"id": endpoint_id, "idempotency_key": idempotency_key, "request_hash": request_hash, **terms}
        async with self._engine.begin() as connection:
            if (await connection.scalar(_COUNT) or 0) >= ENDPOINTS_MAX:
                raise TooManyEndpoints
            if await connection.scalar(_INSERT, row) is None:
                endpoint_id = await _earlier(connection, idempotency_key, request_hash)
            else:
                await connection.execute(_INSERT_GATE, {"id": endpoint_id})
                await self._add_secret(connection, endpoint_id, key)
        endpoint = await self.get(endpoint_id)
        assert endpoint is not None
        return endpoint, (await self.keys([endpoint_id]))[endpoint_id][0]

    async def get(self, endpoint_id: str) -> Endpoint | None:
        """One endpoint, unless deleted."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_GET, {"id": endpoint_id})).mappings().first()
        return Endpoint(**row) if row else None

    async def page(self, *, after: tuple[datetime, str], limit: int) -> list[Endpoint]:
        """Endpoints by age, those after (created_at, id)."""
        parameters = {"after_at": after[0], "after_id": after[1], "limit": limit}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_LIST, parameters)).mappings()
            return [Endpoint(**row) for row in rows]

    async def sendable(self, endpoint_ids: Iterable[str]) -> list[tuple[Endpoint, tuple[SigningKey, ...]]]:
        """Endpoints with their keys, newest first; one whose secret cannot be opened has none."""
        ids = list(endpoint_ids)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_SENDABLE, {"ids": ids})).mappings()
            endpoints = [Endpoint(**row) for row in rows]
            sealed = await _sealed(connection, ids)
        return [(endpoint, self._open_if_readable(endpoint.id, sealed.get(endpoint.id, []))) for endpoint in endpoints]

    async def keys(self, endpoint_ids: Iterable[str]) -> dict[str, list[SigningKey]]:
        """Valid keys by endpoint, newest first; raises SecretUnreadable."""
        async with self._engine.connect() as connection:
            found = await _sealed(connection, list(endpoint_ids))
        return {endpoint_id: self._open(endpoint_id, sealed) for endpoint_id, sealed in found.items()}

    def _open(self, endpoint_id: str, sealed: Iterable[tuple[Scheme, Sealed]]) -> list[SigningKey]:
        return [SigningKey(scheme, self._box.open(each, endpoint_id=endpoint_id)) for scheme, each in sealed]

    def _open_if_readable(self, endpoint_id: str, sealed: Iterable[tuple[Scheme, Sealed]]) -> tuple[SigningKey, ...]:
        try:
            return tuple(self._open(endpoint_id, sealed))
        except SecretUnreadable as error:
            log.error("secret_unreadable", endpoint=endpoint_id, error=str(error))
            return ()

    async def update(self, endpoint_id: str, changes: Mapping[str, Any]) -> Endpoint | None:
        """Change the given PATCHABLE columns; None when there is no such endpoint."""
        columns = [name for name in PATCHABLE if name in changes]
        assignments = [f"{name} = {_CASTS.get(name, ':' + name)}" for name in columns]
        assigned = ", ".join([*assignments, "revision = revision + 1", "updated_at = now()"])
        statement = sa.text(
            f"UPDATE notifier.endpoint SET {assigned} WHERE id = :id AND deleted_at IS NULL"  # noqa: S608 - PATCHABLE
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement, {"id": endpoint_id, **{name: changes[name] for name in columns}})
        return await self.get(endpoint_id)

    async def delete(self, endpoint_id: str) -> bool:
        """Delete it with its secrets and cancel what it still waits for; False when there is none."""
        async with self._engine.begin() as connection:
            await connection.execute(CHANGE_ENDPOINTS)
            if await connection.scalar(_DELETE, {"id": endpoint_id}) is None:
                return False
            await connection.execute(_DELETE_SECRETS, {"id": endpoint_id})
            await connection.execute(_CANCEL, {"id": endpoint_id})
        return True

    async def set_enabled(self, endpoint_id: str, enabled: bool, *, send_held: bool = False) -> int | None:
        """Enable (with an open gate) or disable by hand; returns what is still held, None without such an endpoint."""
        reason = None if enabled else "manual"
        async with self._engine.begin() as connection:
            parameters = {"id": endpoint_id, "enabled": enabled, "reason": reason}
            await connection.execute(CHANGE_ENDPOINTS)
            if await connection.scalar(_ENABLE, parameters) is None:
                return None
            if enabled:
                await connection.execute(_OPEN_GATE, {"id": endpoint_id})
            if send_held:
                await connection.execute(_RELEASE_HELD, {"id": endpoint_id})
            return await connection.scalar(_COUNT_HELD, {"id": endpoint_id}) or 0

    async def _add_secret(self, connection: AsyncConnection, endpoint_id: str, key: SigningKey) -> None:
        sealed = self._box.seal(key.material, endpoint_id=endpoint_id)
        row = {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
        await connection.execute(_INSERT_SECRET, {"endpoint_id": endpoint_id, "scheme": key.scheme.value, **row})


async def _sealed(connection: AsyncConnection, endpoint_ids: list[str]) -> dict[str, list[tuple[Scheme, Sealed]]]:
    """Valid secrets by endpoint, newest first, as stored."""
    found: dict[str, list[tuple[Scheme, Sealed]]] = {}
    for row in await connection.execute(_SECRETS, {"ids": endpoint_ids}):
        sealed = Sealed(row.key_id, bytes(row.nonce), bytes(row.ciphertext))
        found.setdefault(row.endpoint_id, []).append((Scheme(row.scheme), sealed))
    return found


async def _earlier(connection: AsyncConnection, idempotency_key: str | None, request_hash: bytes) -> str:
    row = (await connection.execute(_BY_IDEMPOTENCY_KEY, {"key": idempotency_key})).one()
    if bytes(row.request_hash) != request_hash:
        raise IdempotencyConflict
    return str(row.id)
