"""Which pages may use which key: the one check of origins, and the headers that let a browser read the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.runtime.access import Principal
from services.runtime.key_ring import KeyRing
from services.runtime.problems import Problem

ORIGINS_MAX: Final = 50
ANY: Final = "*"

ORIGIN_NOT_ALLOWED: Final = (
    403,
    "origin_not_allowed",
    "Add the page's origin to those of this key, or use another key on servers.",
)
KEY_IN_ADDRESS: Final = (
    401,
    "key_in_address",
    "Send this key in a header; only browser keys may stand in the address.",
)

Headers = list[tuple[bytes, bytes]]

_ORIGIN = re.compile(r"https?://[a-z0-9._\[\]:-]{1,250}|\*")
_ALLOW = b"POST, OPTIONS"
_EXPOSED = b"retry-after, x-ratelimit-reset, x-request-id"
# What clients other than pages are told, who ask for no particular header.
_REQUEST_HEADERS = b"authorization, content-type, content-encoding, x-write-key, idempotency-key"


def readable_origin(text: str) -> str:
    """An entry of a key's list as it is compared: `https://app.acme.example`, or `*`; raises ValueError."""
    origin = text.strip().lower().rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("an origin reads https://app.acme.example, without a path, or * for any")
    # Browsers leave out the port that goes without saying.
    return origin.removesuffix(":443") if origin.startswith("https:") else origin.removesuffix(":80")


def check_origin(principal: Principal, origin: str | None) -> None:
    """Problem 403 `origin_not_allowed` for a browser key that is used from anywhere but its pages.

    Keys of servers have no list; browsers are kept from them by never being let read an answer.
    """
    allowed = principal.origins
    if allowed and ANY not in allowed and (origin is None or origin.lower() not in allowed):
        raise Problem(*ORIGIN_NOT_ALLOWED)


def check_key_in_address(principal: Principal) -> None:
    """Problem 401 `key_in_address` for a key that must not stand in addresses, which are logged on the way."""
    if not principal.origins:
        raise Problem(*KEY_IN_ADDRESS)


def origin_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The origin of the page that sends, if a page does."""
    origin = headers.get(b"origin")
    return None if origin is None else origin.decode("latin-1")


def answer_headers(ring: KeyRing, headers: Mapping[bytes, bytes]) -> Headers:
    """What lets a page read any answer, errors too: that some key allows it. Nothing for what is no page."""
    origin = headers.get(b"origin")
    if origin is None or not ring.allows_origin(origin.decode("latin-1").lower()):
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


def preflight_headers(ring: KeyRing, headers: Mapping[bytes, bytes], *, allow: bytes = _ALLOW) -> Headers:
    """What lets a page send what it asks to send; it names no key yet, so that any key's list may hold its origin."""
    allowed = answer_headers(ring, headers)
    if allowed or b"origin" not in headers:
        asked = headers.get(b"access-control-request-headers", _REQUEST_HEADERS)
        allowed += [
            (b"access-control-allow-methods", allow),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"600"),
        ]
    return [*allowed, (b"allow", allow)]
