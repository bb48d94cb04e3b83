"""The keys that sign an endpoint's webhooks: shown to whoever may see them, and rotated without a gap."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.domain.signature import SIGNATURES_MAX, SigningKey
from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import IdempotencyConflict
from services.notifier.store.secrets import Access, Reader, Secrets, SecretShelf, accesses, note_access

# Those that end later by an earlier rotation end now or then; the newest is the one without an end.
_EXPIRE_KEYS = sa.text(
    """UPDATE notifier.endpoint_secret
    SET expires_at = least(expires_at, now() + make_interval(secs => :keep_seconds))
    WHERE endpoint_id = :id AND scheme <> 'headers'"""
)
# A leaked key that ends now is gone now.
_FORGET_EXPIRED = sa.text("DELETE FROM notifier.endpoint_secret WHERE endpoint_id = :id AND expires_at <= now()")
_COUNT_KEYS = sa.text(
    """SELECT count(*) FROM notifier.endpoint_secret
    WHERE endpoint_id = :id AND scheme <> 'headers'"""
)
_ROTATED_BEFORE = sa.text(
    """SELECT request_hash FROM notifier.endpoint_secret
    WHERE endpoint_id = :id AND idempotency_key = :idempotency_key"""
)
_TOUCH = sa.text(
    """UPDATE notifier.endpoint SET revision = revision + 1, updated_at = now()
    WHERE id = :id AND deleted_at IS NULL RETURNING id"""
)


class TooManyKeys(Exception):
    """SIGNATURES_MAX keys of the endpoint sign already."""


class EndpointKeys:
    """Keys come and go in the clear and are stored sealed."""

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        self._engine = engine
        self._shelf = SecretShelf(box)

    async def show(self, endpoint_id: str, reader: Reader) -> tuple[Secrets, list[Access]]:
        """An existing endpoint's secrets and who has seen them, this call first; raises SecretUnreadable."""
        async with self._engine.begin() as connection:
            opened = (await self._shelf.of(connection, [endpoint_id])).get(endpoint_id, Secrets())
            await note_access(connection, endpoint_id, "shown", reader)
            return opened, await accesses(connection, endpoint_id)

    async def rotate(
        self,
        endpoint_id: str,
        key: SigningKey,
        *,
        keep_seconds: float,
        reader: Reader,
        idempotency_key: str | None,
        request_hash: bytes,
    ) -> Secrets | None:
        """Let `key` sign from now on, those before it for at most `keep_seconds` more; None without such an endpoint.

        A repeat with the same idempotency key changes nothing. Raises IdempotencyConflict and TooManyKeys.
        """
        own = {"id": endpoint_id, "idempotency_key": idempotency_key}
        async with self._engine.begin() as connection:
            # Locks the endpoint: of two rotations at once one comes after the other.
            if await connection.scalar(_TOUCH, {"id": endpoint_id}) is None:
                return None
            before = (await connection.execute(_ROTATED_BEFORE, own)).first()
            if before is None:
                await connection.execute(_EXPIRE_KEYS, {"id": endpoint_id, "keep_seconds": keep_seconds})
                await connection.execute(_FORGET_EXPIRED, {"id": endpoint_id})
                if (await connection.scalar(_COUNT_KEYS, {"id": endpoint_id}) or 0) >= SIGNATURES_MAX:
                    raise TooManyKeys
                await self._shelf.add_key(
                    connection, endpoint_id, key, idempotency_key=idempotency_key, request_hash=request_hash
                )
            elif bytes(before.request_hash) != request_hash:
                raise IdempotencyConflict
            await note_access(connection, endpoint_id, "rotated", reader)
            return (await self._shelf.of(connection, [endpoint_id]))[endpoint_id]
