"""Where clients put their API key: bearer token, user name of Basic, X-Write-Key, the query, a field of the body."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from services.runtime.access import Principal, Scope
from services.runtime.key_ring import KeyRing
from services.runtime.problems import Problem

_UNAUTHORIZED = {"www-authenticate": "Bearer"}


def key_in_headers(headers: Mapping[bytes, bytes]) -> str | None:
    """The key that the headers name, if any; Problem 401 `keys_differ` when they name two."""
    authorization = headers.get(b"authorization")
    found = None if authorization is None else _key_in_authorization(authorization)
    write_key = headers.get(b"x-write-key")
    return found if write_key is None else same_key(found, write_key.decode("latin-1").strip() or None)


class FoundKey(msgspec.Struct):
    """The key that a request names outside of its body, and whether it stands in the address."""

    key: str | None
    in_address: bool = False


def key_of_request(headers: Mapping[bytes, bytes], query: bytes) -> FoundKey:
    """The key that headers and query name, if any; Problem 401 `keys_differ` when they name two."""
    found = key_in_headers(headers)
    if b"rite" not in query:
        return FoundKey(found)
    fields = parse_qs(query.decode("latin-1"))
    keys = [key for name in ("writeKey", "write_key") for key in fields.get(name, ())]
    for key in keys:
        found = same_key(found, key)
    return FoundKey(found, bool(keys))


def same_key(first: str | None, second: str | None) -> str | None:
    """The key given in one or both of two places; Problem 401 `keys_differ` when they are not the same."""
    if first and second and first != second:
        raise Problem(401, "keys_differ", "Send one API key, not different ones in several places.")
    return first or second


async def authenticate(ring: KeyRing, key: str | None, scope: Scope) -> Principal:
    """Who is calling, from memory for every key seen before; Problem 401 or 403."""
    if key is not None:
        principal = ring.known(key)
        if principal is not None and principal.may(scope):
            return principal
    return await ring.authenticate(key, scope)


def _key_in_authorization(value: bytes) -> str | None:
    scheme, _, rest = value.decode("latin-1").partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip() or None
        case "basic":
            return _user_of_basic(rest)
        case _:
            return None


def _user_of_basic(encoded: str) -> str | None:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError as error:
        # What is no base64, no ASCII to begin with, or no UTF-8 inside.
        raise Problem(
            401, "key_unreadable", "Encode `<key>:` in base64 for Basic authorization.", headers=_UNAUTHORIZED
        ) from error
    # The password is empty; several clients leave the colon out as well.
    return text.partition(":")[0].strip() or None
