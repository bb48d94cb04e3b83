"""API keys: their text, their stored hash, and the copy of the key table that every service answers from.

A key reads `fv_<id>_<secret>_<check>`: the id is public and listed, the secret has 160 bits and is stored only as an
HMAC, the check (CRC-32) tells a mistyped key from a wrong one without asking anybody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key may do; `admin` includes all others."""

    EVENTS_WRITE = "events:write"
    ACCOUNTS_WRITE = "accounts:write"
    ACCOUNTS_READ = "accounts:read"
    PLANS_WRITE = "plans:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a key by its public id and name.

    `origins` are the pages that may use it, none for a server's; `rules` is a document that ingest keeps beside it.
    """

    key_id: str
    name: str
    scopes: frozenset[str]
    origins: frozenset[str] = frozenset()
    rules: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the key has `scope` or is an admin's."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of the key table."""

    key_id: str
    name: str
    scopes: frozenset[str]
    secret_hash: bytes
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    origins: frozenset[str] = frozenset()
    rules: str | None = None

    def valid_at(self, moment: datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)


def generate_key() -> tuple[str, str]:
    """A new (public id, whole key)."""
    key_id = _random_text(8)
    stem = f"fv_{key_id}_{_random_text(20)}"
    return key_id, f"{stem}_{_check(stem)}"


def public_id(key: str) -> str | None:
    """The id inside `key`, or None when it cannot be one of ours."""
    stem, _, check = key.rpartition("_")
    parts = stem.split("_")
    if (
        len(key) > 128
        or len(parts) != 3
        or parts[0] != "fv"
        or not hmac.compare_digest(check.encode(), _check(stem).encode())
    ):
        return None
    return parts[1]


def hash_key(key: str, *, pepper: str) -> bytes:
    """What is stored. The secret is random, so a fast keyed hash is enough."""
    return hmac.digest(pepper.encode() or b"firstvalue", key.encode(), hashlib.sha256)


def _random_text(length_bytes: int) -> str:
    return base64.b32encode(secrets.token_bytes(length_bytes)).decode().rstrip("=").lower()


def _check(stem: str) -> str:
    return f"{zlib.crc32(stem.encode()):08x}"
