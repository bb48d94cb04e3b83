"""Endpoints' sealed secrets: the keys that sign, the headers that may hold credentials, and who was shown them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.domain.signature import Scheme, SigningKey
from services.notifier.secret_box import Sealed, SecretBox, SecretUnreadable

log = structlog.get_logger(__name__)

# The scheme under which custom headers are stored beside the keys.
_HEADERS = "headers"
ACCESSES_SHOWN_MAX = 100
_REENCRYPTED_AT_ONCE = 500

_INSERT = sa.text(
    """INSERT INTO notifier.endpoint_secret
        (endpoint_id, scheme, key_id, nonce, ciphertext, idempotency_key, request_hash)
    VALUES (:endpoint_id, :scheme, :key_id, :nonce, :ciphertext, :idempotency_key, :request_hash)"""
)
# Newest first: that is the order of signatures.
_STORED = sa.text(
    """SELECT endpoint_id, scheme, key_id, nonce, ciphertext, extract(epoch FROM expires_at)::float8 AS expires_at
    FROM notifier.endpoint_secret
    WHERE endpoint_id = ANY(CAST(:ids AS text[])) AND (expires_at IS NULL OR expires_at > now()) ORDER BY id DESC"""
)
# Locked, so that a rotation at the same time is not undone.
_UNDER_OTHER_KEYS = sa.text(
    """SELECT id, endpoint_id, scheme, key_id, nonce, ciphertext FROM notifier.endpoint_secret
    WHERE key_id <> :key_id AND id > :after ORDER BY id LIMIT :most FOR UPDATE"""
)
_RESEAL = sa.text(
    """UPDATE notifier.endpoint_secret SET key_id = :key_id, nonce = :nonce, ciphertext = :ciphertext
    WHERE id = :id"""
)
_DELETE = sa.text("DELETE FROM notifier.endpoint_secret WHERE endpoint_id = :id")
_DELETE_HEADERS = sa.text("DELETE FROM notifier.endpoint_secret WHERE endpoint_id = :id AND scheme = 'headers'")
_NOTE = sa.text(
    """INSERT INTO notifier.secret_access (endpoint_id, action, key_id, key_name, request_id)
    VALUES (:endpoint_id, :action, :key_id, :key_name, :request_id)"""
)
_ACCESSES = sa.text(
    """SELECT at, action, key_id, key_name, request_id FROM notifier.secret_access
    WHERE endpoint_id = :id ORDER BY id DESC LIMIT :most"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who gets to see a secret: the API key by id and name, and the request under which the log knows it."""

    key_id: str
    key_name: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One time that a secret was shown."""

    at: datetime
    action: Literal["created", "rotated", "shown"]
    key_id: str
    key_name: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an endpoint keeps secret: its keys, newest first, and its custom headers."""

    keys: tuple[SigningKey, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class SecretShelf:
    """Puts secrets into the database sealed and takes them out opened, within transactions of the endpoint store."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    async def add_key(
        self,
        connection: AsyncConnection,
        endpoint_id: str,
        key: SigningKey,
        *,
        idempotency_key: str | None = None,
        request_hash: bytes | None = None,
    ) -> None:
        """Store the newest key."""
        row = self._sealed(endpoint_id, key.scheme, key.material)
        await connection.execute(_INSERT, row | {"idempotency_key": idempotency_key, "request_hash": request_hash})

    async def put_headers(self, connection: AsyncConnection, endpoint_id: str, headers: Mapping[str, str]) -> None:
        """Replace the custom headers."""
        await connection.execute(_DELETE_HEADERS, {"id": endpoint_id})
        if headers:
            row = self._sealed(endpoint_id, _HEADERS, msgspec.json.encode(dict(headers)))
            await connection.execute(_INSERT, row | {"idempotency_key": None, "request_hash": None})

    async def of(self, connection: AsyncConnection, endpoint_ids: Iterable[str]) -> dict[str, Secrets]:
        """What may be used now, by endpoint; raises SecretUnreadable."""
        stored = await _stored(connection, list(endpoint_ids))
        return {endpoint_id: self._open(endpoint_id, rows) for endpoint_id, rows in stored.items()}

    async def readable_of(self, connection: AsyncConnection, endpoint_ids: Iterable[str]) -> dict[str, Secrets]:
        """The same; an endpoint of which something cannot be opened has nothing."""
        opened: dict[str, Secrets] = {}
        for endpoint_id, rows in (await _stored(connection, list(endpoint_ids))).items():
            try:
                opened[endpoint_id] = self._open(endpoint_id, rows)
            except SecretUnreadable as error:
                log.error("secret_unreadable", endpoint=endpoint_id, error=str(error))
        return opened

    def _open(self, endpoint_id: str, rows: Sequence[sa.Row[tuple[object, ...]]]) -> Secrets:
        keys: list[SigningKey] = []
        headers: dict[str, str] = {}
        for row in rows:
            sealed = Sealed(row.key_id, bytes(row.nonce), bytes(row.ciphertext))
            material = self._box.open(sealed, bound_to=_binding(endpoint_id, row.scheme))
            if row.scheme == _HEADERS:
                headers = msgspec.json.decode(material, type=dict[str, str])
            else:
                keys.append(SigningKey(Scheme(row.scheme), material, row.expires_at))
        return Secrets(tuple(keys), headers)

    def _sealed(self, endpoint_id: str, scheme: str, material: bytes) -> dict[str, object]:
        sealed = self._box.seal(material, bound_to=_binding(endpoint_id, scheme))
        return {
            "endpoint_id": endpoint_id,
            "scheme": str(scheme),
            "key_id": sealed.key_id,
            "nonce": sealed.nonce,
            "ciphertext": sealed.ciphertext,
        }


async def reencrypt_all(engine: AsyncEngine, box: SecretBox) -> tuple[int, int]:
    """Seal everything under the box's newest key that lies under an older one; (how many, how many cannot be read)."""
    done, unreadable, after = 0, 0, 0
    while True:
        async with engine.begin() as connection:
            found = {"key_id": box.key_id, "after": after, "most": _REENCRYPTED_AT_ONCE}
            rows = (await connection.execute(_UNDER_OTHER_KEYS, found)).all()
            for row in rows:
                bound_to = _binding(row.endpoint_id, row.scheme)
                try:
                    material = box.open(Sealed(row.key_id, bytes(row.nonce), bytes(row.ciphertext)), bound_to=bound_to)
                except SecretUnreadable as error:
                    log.error("secret_unreadable", endpoint=row.endpoint_id, error=str(error))
                    unreadable += 1
                    continue
                sealed = box.seal(material, bound_to=bound_to)
                anew = {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
                await connection.execute(_RESEAL, anew | {"id": row.id})
                done += 1
        if not rows:
            return done, unreadable
        after = rows[-1].id


async def forget_secrets(connection: AsyncConnection, endpoint_id: str) -> None:
    """Delete all of an endpoint's; who saw them stays known."""
    await connection.execute(_DELETE, {"id": endpoint_id})


async def note_access(connection: AsyncConnection, endpoint_id: str, action: str, reader: Reader) -> None:
    """Write down who is about to be shown a secret; in the transaction that reads it, so that none is shown unseen."""
    row = {"key_id": reader.key_id, "key_name": reader.key_name, "request_id": reader.request_id}
    await connection.execute(_NOTE, {"endpoint_id": endpoint_id, "action": action, **row})


async def accesses(connection: AsyncConnection, endpoint_id: str) -> list[Access]:
    """Who was shown the secrets of an endpoint, newest first."""
    rows = await connection.execute(_ACCESSES, {"id": endpoint_id, "most": ACCESSES_SHOWN_MAX})
    return [Access(**row) for row in rows.mappings()]


async def _stored(connection: AsyncConnection, endpoint_ids: list[str]) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    found: dict[str, list[sa.Row[tuple[object, ...]]]] = {}
    for row in await connection.execute(_STORED, {"ids": endpoint_ids}):
        found.setdefault(row.endpoint_id, []).append(row)
    return found


def _binding(endpoint_id: str, scheme: str) -> str:
    """What a ciphertext is bound to: no key can be put in the place of headers, nor one endpoint's in another's."""
    return f"{endpoint_id}/{_HEADERS}" if scheme == _HEADERS else endpoint_id
