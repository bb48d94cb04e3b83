"""The copy of the key table that a service answers from: refreshed every second, kept while PostgreSQL is away."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

import sqlalchemy as sa
import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.runtime.access import Principal, Scope, StoredKey, hash_key, public_id
from services.runtime.problems import Problem
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 1.0
# An id nobody knows may be a key created a moment ago elsewhere; it may cost the database this many looks a second.
_LOOKS_PER_SECOND = 5
_KEYS_MAX = 10_000

_READ = sa.text(
    "SELECT id, name, scopes, secret_hash, expires_at, revoked_at FROM ingest.api_key ORDER BY created_at LIMIT :most"
)
# For the OpenAPI document alone; the ring reads the header itself.
_BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="An API key, `fv_…`, or FIRSTVALUE_ADMIN_KEY.")
_Documented = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
_UNKNOWN = "This API key is unknown, expired or revoked; create one with `firstvalue key create`."


class KeyRing:
    """Answers who a key is from memory alone, except for an id never seen."""

    def __init__(self, engine: AsyncEngine, *, admin_key: str | None, pepper: str) -> None:
        self._engine = engine
        self._pepper = pepper
        self._admin_hash = hash_key(admin_key, pepper=pepper) if admin_key else None
        self._admin = Principal("bootstrap", "FIRSTVALUE_ADMIN_KEY", frozenset({Scope.ADMIN}))
        self._keys: dict[str, StoredKey] = {}
        self._verified: dict[str, tuple[StoredKey, Principal]] = {}
        self._refreshed_at = float("-inf")

    @property
    def age_seconds(self) -> float:
        """Time since the copy was last known to be current."""
        return time.monotonic() - self._refreshed_at

    async def refresh(self) -> None:
        """Read the whole table; raises SQLAlchemyError or OSError and keeps the old copy when that fails."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_READ, {"most": _KEYS_MAX})).all()
        keys = {
            row.id: StoredKey(
                row.id,
                row.name,
                frozenset(row.scopes),
                bytes(row.secret_hash),
                row.expires_at,
                row.revoked_at,
            )
            for row in rows
        }
        if keys != self._keys:
            self._keys, self._verified = keys, {}
        self._refreshed_at = time.monotonic()

    async def keep_fresh(self, stopping: Stopping) -> None:
        """Worker: refresh until stopped; a database that is away is reported once and waited for."""
        failing = False
        while True:
            try:
                await self.refresh()
                failing = False
            except (SQLAlchemyError, OSError) as error:
                if not failing:
                    log.warning("key_refresh_failed", error=type(error).__name__)
                failing = True
            if await stopping.sleep(REFRESH_SECONDS):
                return

    def known(self, key: str) -> Principal | None:
        """Who `key` is by the copy in memory, without I/O."""
        if cached := self._verified.get(key):
            stored, principal = cached
            return principal if stored.valid_at(datetime.now(UTC)) else None
        given = hash_key(key, pepper=self._pepper)
        if self._admin_hash is not None and hmac.compare_digest(given, self._admin_hash):
            return self._admin
        stored_key = self._keys.get(public_id(key) or "")
        expected = stored_key.secret_hash if stored_key else bytes(len(given))
        if not hmac.compare_digest(given, expected) or stored_key is None:
            return None
        principal = Principal(stored_key.key_id, stored_key.name, stored_key.scopes)
        self._verified[key] = (stored_key, principal)
        return principal if stored_key.valid_at(datetime.now(UTC)) else None

    async def authenticate(self, key: str | None, scope: Scope) -> Principal:
        """Who `key` is; Problem 401 `key_missing`, 401 `key_unknown` or 403 `scope_missing`."""
        if not key:
            raise Problem(
                401,
                "key_missing",
                "Send an API key as `Authorization: Bearer <key>`.",
                headers={"www-authenticate": "Bearer"},
            )
        principal = self.known(key)
        if principal is None and public_id(key) not in (None, *self._keys) and self.age_seconds > 1 / _LOOKS_PER_SECOND:
            await self._look_again()
            principal = self.known(key)
        if principal is None:
            raise Problem(401, "key_unknown", _UNKNOWN, headers={"www-authenticate": "Bearer"})
        if not principal.may(scope):
            raise Problem(403, "scope_missing", f"This key lacks the scope {scope}; use or create one that has it.")
        return principal

    async def _look_again(self) -> None:
        try:
            await self.refresh()
        except (SQLAlchemyError, OSError):
            self._refreshed_at = time.monotonic() - REFRESH_SECONDS


def require(ring: KeyRing, scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A FastAPI dependency that lets only keys with `scope` pass."""

    async def authenticated(request: Request, _documented: _Documented) -> Principal:
        return await ring.authenticate(bearer(request.headers.get("authorization")), scope)

    return authenticated


def bearer(authorization: str | None) -> str | None:
    """The key in an `Authorization: Bearer` header."""
    kind, _, key = (authorization or "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else None
