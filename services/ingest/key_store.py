"""The key table: ingest owns it, the other services read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

SCHEMA = "ingest"
KEYS_CHANNEL = "ingest_keys"

_INSERT = sa.text(
    "INSERT INTO ingest.api_key"
    " (id, name, scopes, secret_hash, expires_at, idempotency_key, request_hash, origins, source)"
    " VALUES (:id, :name, :scopes, :secret_hash, :expires_at, :idempotency_key, :request_hash, :origins, :source)"
    " ON CONFLICT (idempotency_key) DO NOTHING"
    " RETURNING id, name, scopes, created_at, expires_at, revoked_at, origins, source"
)
_EARLIER = sa.text(
    "SELECT id, name, scopes, created_at, expires_at, revoked_at, origins, source, request_hash FROM ingest.api_key"
    " WHERE idempotency_key = :key"
)
_NEWEST = sa.text(
    "SELECT id, name, scopes, created_at, expires_at, revoked_at, origins, source FROM ingest.api_key"
    " WHERE CAST(:created_at AS timestamptz) IS NULL OR (created_at, id) < (:created_at, :id)"
    " ORDER BY created_at DESC, id DESC LIMIT :most"
)
_REVOKE = sa.text(
    "UPDATE ingest.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id"
    " RETURNING id, name, scopes, created_at, expires_at, revoked_at, origins, source"
)

_LOCK = sa.text(
    "SELECT id, name, scopes, created_at, expires_at, revoked_at, origins, source FROM ingest.api_key"
    " WHERE id = :id AND revoked_at IS NULL FOR UPDATE"
)
_CHANGE = sa.text(
    "UPDATE ingest.api_key SET origins = :origins, source = :source WHERE id = :id"
    " RETURNING id, name, scopes, created_at, expires_at, revoked_at, origins, source"
)
_TELL = sa.text("SELECT pg_notify(:channel, '')")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What is stored of a key that is being created; the two last are for repeats of the request."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    secret_hash: bytes
    expires_at: datetime | None
    idempotency_key: str | None
    request_hash: bytes
    origins: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is listed: never its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    origins: list[str]
    source: str | None


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key was sent before with another request."""


class KeyStore:
    """Creates, lists, changes and revokes keys; raises SQLAlchemyError or OSError while the database is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self, key: NewKey) -> tuple[KeyRow, bool]:
        """(the row, whether it is new): a repeat of an earlier request gives the row of that one."""
        values = {
            "id": key.key_id,
            "name": key.name,
            "scopes": list(key.scopes),
            "secret_hash": key.secret_hash,
            "expires_at": key.expires_at,
            "idempotency_key": key.idempotency_key,
            "request_hash": key.request_hash,
            "origins": list(key.origins),
            "source": key.source,
        }
        async with self._engine.begin() as connection:
            row = (await connection.execute(_INSERT, values)).one_or_none()
            if row is not None:
                await _tell(connection)
                return KeyRow(*row), True
            earlier = (await connection.execute(_EARLIER, {"key": key.idempotency_key})).one()
        if bytes(earlier.request_hash) != key.request_hash:
            raise IdempotencyKeyReused
        return KeyRow(*earlier[:-1]), False

    async def newest(self, *, after: tuple[datetime, str] | None, most: int) -> list[KeyRow]:
        """Keys from the newest on, those after the (created_at, id) given."""
        created_at, key_id = after or (None, None)
        async with self._engine.connect() as connection:
            rows = await connection.execute(_NEWEST, {"created_at": created_at, "id": key_id, "most": most})
            return [KeyRow(*row) for row in rows]

    async def revoke(self, key_id: str) -> KeyRow | None:
        """Revoke a key for good; None if there is no such key. Revoking again changes nothing."""
        async with self._engine.begin() as connection:
            row = (await connection.execute(_REVOKE, {"id": key_id})).one_or_none()
            await _tell(connection)
        return None if row is None else KeyRow(*row)

    async def change(self, key_id: str, change: Callable[[KeyRow], tuple[list[str], str | None]]) -> KeyRow | None:
        """Put what `change` makes of a key's row into its origins and source; None if no such key is in use."""
        async with self._engine.begin() as connection:
            row = (await connection.execute(_LOCK, {"id": key_id})).one_or_none()
            if row is None:
                return None
            origins, source = change(KeyRow(*row))
            values = {"id": key_id, "origins": origins, "source": source}
            changed = (await connection.execute(_CHANGE, values)).one()
            await _tell(connection)
        return KeyRow(*changed)


async def _tell(connection: AsyncConnection) -> None:
    await connection.execute(_TELL, {"channel": KEYS_CHANNEL})
