"""The copy of the key table that a service answers from: refreshed every second, kept while PostgreSQL is away."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.runtime.access import Principal, Scope, StoredKey, hash_key, public_id
from services.runtime.parameters import refuse_unknown_parameters
from services.runtime.problems import Problem, route_of
from services.runtime.process import Stopping

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 1.0
# An id nobody knows may be a key created a moment ago elsewhere; the database is asked this often at most.
_LOOK_SECONDS = 0.2
_NOBODYS_MAX = 10_000
# A copy of this age says that the database is away, and nothing about ids that are not in it.
_STALE_SECONDS = 5 * REFRESH_SECONDS
_KEYS_MAX = 10_000
# So long before its end an operator hears of a key.
_EXPIRING = timedelta(days=7)

_READ = sa.text(
    "SELECT id, name, scopes, secret_hash, expires_at, revoked_at, origins, source FROM ingest.api_key"
    " ORDER BY revoked_at IS NULL DESC, created_at DESC LIMIT :most"
)
# For the OpenAPI document alone; the ring reads the header itself.
_BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="An API key, `fv_…`, or FIRSTVALUE_ADMIN_KEY.")
_Documented = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
_UNKNOWN = "This API key is unknown, expired or revoked; create one with `firstvalue key create`."
_AWAY = "The database is away and this key not known here yet; try again after the seconds in Retry-After."


class KeyRing:
    """Answers who a key is from memory alone, except for an id never seen."""

    def __init__(self, engine: AsyncEngine, *, admin_key: str | None, pepper: str) -> None:
        self._engine = engine
        self._pepper = pepper
        self._admin_hash = hash_key(admin_key, pepper=pepper) if admin_key else None
        self._admin = Principal("bootstrap", "FIRSTVALUE_ADMIN_KEY", frozenset({Scope.ADMIN}))
        self._keys: dict[str, StoredKey] = {}
        self._verified: dict[str, tuple[StoredKey, Principal]] = {}
        self._origins: frozenset[str] = frozenset()
        self._refreshed_at = float("-inf")
        # Readings are numbered as they begin: one that ends after a later one has nothing to say any more.
        self._readings = 0
        self._newest_reading = 0
        self._look_began_at = float("-inf")
        self._look_failed = False
        # Ids that nobody has, until the table changes.
        self._nobodys: set[str] = set()
        self._told = False
        self._catching_up: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()

    @property
    def age_seconds(self) -> float:
        """Time since the copy was last known to be current."""
        return time.monotonic() - self._refreshed_at

    def expiring(self) -> int:
        """How many keys that are valid now end within _EXPIRING."""
        now = datetime.now(UTC)
        keys = list(self._keys.values())
        return sum(one.valid_at(now) and not one.valid_at(now + _EXPIRING) for one in keys)

    async def refresh(self) -> None:
        """Read the whole table; raises SQLAlchemyError or OSError and keeps the old copy when that fails."""
        async with self._engine.connect() as connection:
            self._readings += 1
            reading = self._readings
            rows = (await connection.execute(_READ, {"most": _KEYS_MAX})).all()
        if reading < self._newest_reading:
            # That one saw all that was written before this one began.
            return
        self._newest_reading = reading
        keys = {
            row.id: StoredKey(
                row.id,
                row.name,
                frozenset(row.scopes),
                bytes(row.secret_hash),
                row.expires_at,
                row.revoked_at,
                frozenset(row.origins),
                row.source,
            )
            for row in rows
        }
        if keys != self._keys:
            self._keys, self._verified, self._nobodys = keys, {}, set()
            self._origins = frozenset(origin for key in keys.values() if not key.revoked_at for origin in key.origins)
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
        principal = Principal(
            stored_key.key_id, stored_key.name, stored_key.scopes, stored_key.origins, stored_key.rules
        )
        self._verified[key] = (stored_key, principal)
        return principal if stored_key.valid_at(datetime.now(UTC)) else None

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of `origin` may use any key at all; keys that are revoked count for none."""
        return origin in self._origins or "*" in self._origins

    async def authenticate(self, key: str | None, scope: Scope) -> Principal:
        """Who `key` is.

        Problem 401 `key_missing`, 401 `key_unknown`, 403 `scope_missing`, or 503 `database_unavailable` for a key that
        may have been created since the database went away.
        """
        if not key:
            raise Problem(
                401,
                "key_missing",
                "Send an API key as `Authorization: Bearer <key>`.",
                headers={"www-authenticate": "Bearer"},
            )
        principal = self.known(key)
        if principal is None and (key_id := public_id(key)) is not None and self._may_be_new(key_id):
            await self._look_again()
            principal = self.known(key)
            if key_id not in self._keys and len(self._nobodys) < _NOBODYS_MAX:
                self._nobodys.add(key_id)
        if principal is None:
            raise Problem(401, "key_unknown", _UNKNOWN, headers={"www-authenticate": "Bearer"})
        if not principal.may(scope):
            raise Problem(403, "scope_missing", f"This key lacks the scope {scope}; use or create one that has it.")
        return principal

    def refresh_soon(self) -> None:
        """The table has changed: look without waiting for the next turn; all told during a look cause one more."""
        self._told = True
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        try:
            while self._told:
                self._told = False
                with suppress(SQLAlchemyError, OSError):
                    await self.refresh()
        finally:
            self._catching_up = None

    def _may_be_new(self, key_id: str) -> bool:
        return key_id not in self._keys and (key_id not in self._nobodys or self.age_seconds > _STALE_SECONDS)

    async def _look_again(self) -> None:
        """One look for all that wait for one, begun after each of them came: a key created meanwhile is in it."""
        asked_at = time.monotonic()
        async with self._looking:
            if self._look_began_at <= asked_at:
                await asyncio.sleep(self._look_began_at + _LOOK_SECONDS - time.monotonic())
                self._look_began_at = time.monotonic()
                try:
                    await self.refresh()
                    self._look_failed = False
                except (SQLAlchemyError, OSError):
                    self._look_failed = True
        if self._look_failed:
            raise Problem(503, "database_unavailable", _AWAY, headers={"retry-after": "2"})


def require(ring: KeyRing, scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A FastAPI dependency that lets only keys with `scope` pass, and no query parameter that the route does not take.
    Addresses that SDKs fetch for pages ask for no such key and take whatever these send along."""

    async def authenticated(request: Request, _documented: _Documented) -> Principal:
        principal = await ring.authenticate(bearer(request.headers.get("authorization")), scope)
        refuse_unknown_parameters(request)
        if request.method != "GET":
            _note(request, principal)
        return principal

    return authenticated


def _note(request: Request, caller: Principal) -> None:
    """Who asked to change what; the route is a template, and the key told by its public id."""
    request_id = request.scope.get("request_id")
    log.info("change_asked", method=request.method, route=route_of(request), key=caller.key_id, request_id=request_id)


def bearer(authorization: str | None) -> str | None:
    """The key in an `Authorization: Bearer` header."""
    kind, _, key = (authorization or "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else None
