"""Endpoints and their sealed secrets."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX
from services.notifier.domain.signature import SigningKey
from services.notifier.secret_box import SecretBox
from services.notifier.store import endpoint_queue, notices
from services.notifier.store.endpoint_rows import (
    COLUMNS,
    FIXED_AT_CREATION,
    FROM,
    TERMS,
    Endpoint,
    endpoint_of,
    parameters_of,
    placeholder,
)
from services.notifier.store.locks import CHANGE_ENDPOINTS
from services.notifier.store.secrets import Reader, Secrets, SecretShelf, forget_secrets, note_access

ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"

_TERMS = (*TERMS, *FIXED_AT_CREATION)
_INSERT = sa.text(
    f"INSERT INTO notifier.endpoint (id, idempotency_key, request_hash, {', '.join(_TERMS)}) "  # noqa: S608 - constants
    f"VALUES (:id, :idempotency_key, :request_hash, {', '.join(placeholder(name) for name in _TERMS)}) "
    "ON CONFLICT (idempotency_key) WHERE deleted_at IS NULL DO NOTHING RETURNING id"
)
_INSERT_GATE = sa.text("INSERT INTO notifier.endpoint_gate (endpoint_id) VALUES (:id)")
_BY_IDEMPOTENCY_KEY = sa.text(
    "SELECT id, request_hash FROM notifier.endpoint WHERE idempotency_key = :key AND deleted_at IS NULL"
)
_COUNT = sa.text("SELECT count(*) FROM notifier.endpoint WHERE deleted_at IS NULL")
_GET = sa.text(f"SELECT {COLUMNS} FROM {FROM} WHERE e.id = :id AND e.deleted_at IS NULL")  # noqa: S608 - constants
_LIST = sa.text(
    f"SELECT {COLUMNS} FROM {FROM} WHERE e.deleted_at IS NULL AND (e.created_at, e.id) > (:after_at, :after_id) "  # noqa: S608
    "ORDER BY e.created_at, e.id LIMIT :limit"
)
_SENDABLE = sa.text(f"SELECT {COLUMNS} FROM {FROM} WHERE e.id = ANY(CAST(:ids AS text[]))")  # noqa: S608
_REVISIONS = sa.text(
    """SELECT e.id, e.revision FROM notifier.endpoint e JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id
    WHERE e.enabled AND g.not_before <= now() AND e.id = ANY(CAST(:ids AS text[]))
        AND (e.delivery_window IS NULL OR notifier.window_open(e.delivery_window, now()))"""
)
_RETIRE = sa.text(
    """UPDATE notifier.endpoint SET enabled = false, disabled_reason = coalesce(disabled_reason, 'manual'),
        revision = revision + 1, updated_at = now()
    WHERE id = :id AND deleted_at IS NULL RETURNING id"""
)
_DELETE = sa.text(
    """UPDATE notifier.endpoint SET deleted_at = now(), enabled = false, revision = revision + 1
    WHERE id = :id AND deleted_at IS NULL RETURNING id"""
)
# It would go on to queue what is cancelled here. Its row before deliveries: the order in which a step locks them.
_END_REPLAY = sa.text(
    """UPDATE notifier.replay SET status = 'cancelled', finished_at = now()
    WHERE endpoint_id = :id AND status = 'running'"""
)
_ENABLE = sa.text(
    """UPDATE notifier.endpoint
    SET enabled = :enabled, disabled_reason = :reason, revision = revision + 1, updated_at = now()
    WHERE id = :id AND deleted_at IS NULL RETURNING id"""
)
_LOCK_URL = sa.text("SELECT url FROM notifier.endpoint WHERE id = :id AND deleted_at IS NULL FOR UPDATE")
_SWITCH_STATE = sa.text(
    """SELECT e.enabled, e.revision, g.failing_since
    FROM notifier.endpoint e JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id
    WHERE e.id = :id AND e.deleted_at IS NULL FOR UPDATE OF e"""
)
# Who enables an endpoint, or gives it another URL, may well have mended it: what failed before is tried now, as after a
# recovery.
_OPEN_GATE = sa.text(
    """UPDATE notifier.endpoint_gate SET not_before = now(), failures = 0, failing_since = NULL,
        last_failed_at = NULL, trips = 0, probe_until = NULL, announced = 0, pull_before = now(),
        opened_revision = (SELECT revision FROM notifier.endpoint WHERE id = :id)
    WHERE endpoint_id = :id"""
)
_KNOWS_TIME_ZONE = sa.text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :name)")


class IdempotencyConflict(Exception):
    """The Idempotency-Key was used before for a different request."""


class TooManyEndpoints(Exception):
    """The deployment has ENDPOINTS_MAX endpoints."""


class EndpointStore:
    """Reads and changes endpoints; secrets go in and out in the clear and are stored sealed."""

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        self._engine = engine
        self._shelf = SecretShelf(box)

    async def create(
        self,
        terms: Mapping[str, Any],
        key: SigningKey,
        *,
        headers: Mapping[str, str],
        reader: Reader,
        idempotency_key: str | None,
        request_hash: bytes,
    ) -> tuple[Endpoint, SigningKey]:
        """The new endpoint and its key, or those of an earlier request with the same idempotency key.

        Raises IdempotencyConflict and TooManyEndpoints.
        """
        endpoint_id = "ep_" + "".join(secrets.choice(ID_CHARACTERS) for _ in range(20))
        own = {"id": endpoint_id, "idempotency_key": idempotency_key, "request_hash": request_hash}
        async with self._engine.begin() as connection:
            if (await connection.scalar(_COUNT) or 0) >= ENDPOINTS_MAX:
                raise TooManyEndpoints
            if await connection.scalar(_INSERT, own | parameters_of(terms)) is None:
                endpoint_id = await _earlier(connection, idempotency_key, request_hash)
            else:
                await connection.execute(_INSERT_GATE, {"id": endpoint_id})
                await self._shelf.add_key(connection, endpoint_id, key)
                await self._shelf.put_headers(connection, endpoint_id, headers)
            await note_access(connection, endpoint_id, "created", reader)
            shown = (await self._shelf.of(connection, [endpoint_id]))[endpoint_id].keys[0]
        endpoint = await self.get(endpoint_id)
        assert endpoint is not None
        return endpoint, shown

    async def get(self, endpoint_id: str) -> Endpoint | None:
        """One endpoint, unless deleted."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_GET, {"id": endpoint_id})).mappings().first()
        return endpoint_of(row) if row else None

    async def page(self, *, after: tuple[datetime, str], limit: int) -> list[Endpoint]:
        """Endpoints by age, those after (created_at, id)."""
        parameters = {"after_at": after[0], "after_id": after[1], "limit": limit}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_LIST, parameters)).mappings()
            return [endpoint_of(row) for row in rows]

    async def sendable(self, endpoint_ids: Iterable[str]) -> list[tuple[Endpoint, Secrets]]:
        """Endpoints with their secrets, of one moment: headers that came with a new URL never go to the old one. One of
        which a secret cannot be opened has none."""
        ids = list(endpoint_ids)
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            rows = (await connection.execute(_SENDABLE, {"ids": ids})).mappings()
            endpoints = [endpoint_of(row) for row in rows]
            opened = await self._shelf.readable_of(connection, ids)
        return [(endpoint, opened.get(endpoint.id, Secrets())) for endpoint in endpoints]

    async def revisions(self, endpoint_ids: Iterable[str]) -> dict[str, int]:
        """The revision of each of these endpoints that is enabled and whose gate and delivery window are open."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_REVISIONS, {"ids": list(endpoint_ids)})
            return {row.id: row.revision for row in rows}

    async def knows_time_zone(self, name: str) -> bool:
        """Whether the database, whose clock opens and closes delivery windows, has this IANA time zone."""
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(_KNOWS_TIME_ZONE, {"name": name}))

    async def update(
        self, endpoint_id: str, changes: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Change the given terms, and replace the custom headers unless None; what is so already is no change.
        What the old URL asked for, or earned by its failures, does not hold for a new one."""
        columns = [name for name in TERMS if name in changes]
        assignments = [f"{name} = {placeholder(name)}" for name in columns]
        assigned = ", ".join([*assignments, "revision = revision + 1", "updated_at = now()"])
        differing = " OR ".join(f"{name} IS DISTINCT FROM {placeholder(name)}" for name in columns) or "false"
        changing = f" AND ({differing})" if headers is None else ""
        statement = sa.text(
            f"UPDATE notifier.endpoint SET {assigned} WHERE id = :id{changing}"  # noqa: S608 - TERMS
        )
        given = parameters_of({name: changes[name] for name in columns})
        async with self._engine.begin() as connection:
            url_before = await connection.scalar(_LOCK_URL, {"id": endpoint_id})
            if url_before is None:
                return
            await connection.execute(statement, {"id": endpoint_id, **given})
            if headers is not None:
                await self._shelf.put_headers(connection, endpoint_id, headers)
            if given.get("url", url_before) != url_before:
                await connection.execute(_OPEN_GATE, {"id": endpoint_id})

    async def delete(self, endpoint_id: str) -> bool:
        """Delete it with its secrets, cancel what it still waits for and its replay; False when there is none.

        Disabled first: when this ends halfway, the endpoint is there to be deleted again.
        """
        async with self._engine.begin() as connection:
            await connection.execute(CHANGE_ENDPOINTS)
            if await connection.scalar(_RETIRE, {"id": endpoint_id}) is None:
                return False
            await connection.execute(_END_REPLAY, {"id": endpoint_id})
        await endpoint_queue.cancel_most(self._engine, endpoint_id)
        async with self._engine.begin() as connection:
            await connection.execute(CHANGE_ENDPOINTS)
            if await connection.scalar(_DELETE, {"id": endpoint_id}) is None:
                return False
            await forget_secrets(connection, endpoint_id)
            await connection.execute(_END_REPLAY, {"id": endpoint_id})
            await endpoint_queue.cancel_rest(connection, endpoint_id)
        return True

    async def set_enabled(
        self, endpoint_id: str, enabled: bool, *, send_held: bool = False, again: bool = True
    ) -> int | None:
        """Enable (with an open gate) or disable by hand; returns what is still held, None without such an endpoint.

        Without `again`, one that is as asked already stays as it is, and so does its gate.
        """
        reason = None if enabled else "manual"
        if enabled:
            await endpoint_queue.restart_waiting(self._engine, endpoint_id)
        async with self._engine.begin() as connection:
            parameters = {"id": endpoint_id, "enabled": enabled, "reason": reason}
            await connection.execute(CHANGE_ENDPOINTS)
            before = (await connection.execute(_SWITCH_STATE, {"id": endpoint_id})).first()
            if before is None:
                return None
            switches = again or before.enabled != enabled
            if switches:
                await connection.execute(_ENABLE, parameters)
            if before.enabled and not enabled:
                told = notices.disabled(endpoint_id, "manual", before.failing_since, before.revision + 1)
                await notices.add_notices(connection, [told])
            if enabled and switches:
                await connection.execute(_OPEN_GATE, {"id": endpoint_id})
        held = await endpoint_queue.count_held(self._engine, endpoint_id)
        if send_held:
            await endpoint_queue.release_held(self._engine, endpoint_id)
        return held


async def _earlier(connection: AsyncConnection, idempotency_key: str | None, request_hash: bytes) -> str:
    row = (await connection.execute(_BY_IDEMPOTENCY_KEY, {"key": idempotency_key})).one()
    if bytes(row.request_hash) != request_hash:
        raise IdempotencyConflict
    return str(row.id)
