"""Standard Webhooks signatures over `id.timestamp.body`, and the text form of the keys that make them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
SIGNATURES_MAX = 6


class Scheme(StrEnum):
    """How a key signs; the value is the signature's version on the wire."""

    HMAC_SHA256 = "v1"


PREFIXES: Mapping[Scheme, str] = MappingProxyType({Scheme.HMAC_SHA256: "whsec_"})


class SecretRefused(ValueError):
    """The text is no usable secret; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Key material of an endpoint."""

    scheme: Scheme
    material: bytes


def secret_text(key: SigningKey) -> str:
    """`whsec_` and base64, as subscribers configure it."""
    return PREFIXES[key.scheme] + base64.b64encode(key.material).decode()


def parse_secret(text: str) -> SigningKey:
    """The key in `text`; SecretRefused unless it is `whsec_` and base64 of 24 to 64 bytes."""
    prefix = PREFIXES[Scheme.HMAC_SHA256]
    try:
        material = base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        material = b""
    if not text.startswith(prefix) or not SECRET_BYTES_MIN <= len(material) <= SECRET_BYTES_MAX:
        raise SecretRefused(f"Write the secret as {prefix} and base64 of {SECRET_BYTES_MIN}-{SECRET_BYTES_MAX} bytes.")
    return SigningKey(Scheme.HMAC_SHA256, material)


def signature_header(keys: Iterable[SigningKey], *, message_id: str, timestamp_seconds: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `version,base64` per key in the given order, newest first.

    Exactly one space between signatures and one comma in each: a widely used verifier fails on anything else.
    """
    signed = b"%s.%d.%s" % (message_id.encode("ascii"), timestamp_seconds, body)
    signatures = [_sign(key, signed) for key in keys][:SIGNATURES_MAX]
    return " ".join(signatures)


def _sign(key: SigningKey, signed: bytes) -> str:
    digest = hmac.digest(key.material, signed, hashlib.sha256)
    return f"{key.scheme},{base64.b64encode(digest).decode()}"
