"""Standard Webhooks signatures over `id.timestamp.body`, and the text form of the keys that make them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
# How many keys of an endpoint may sign at once: a header that receivers still parse without complaint.
SIGNATURES_MAX = 6
# What is given out: the form of libsodium and of Go's standard library, the seed and the public key.
ED25519_BYTES = 64
_SEED_BYTES = 32
_HMAC_PREFIX = "whsec_"
_PRIVATE_PREFIX = "whsk_"
_PUBLIC_PREFIX = "whpk_"


class Scheme(StrEnum):
    """How a key signs; the value is the signature's version on the wire."""

    HMAC_SHA256 = "v1"
    ED25519 = "v1a"


class SecretRefused(ValueError):
    """The text is no usable secret; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Key material of an endpoint; `expires_at` is when it signs no more, in seconds since 1970, None while it is the
    newest. The material of an ed25519 key is its seed, or its seed and its public key."""

    scheme: Scheme
    material: bytes
    expires_at: float | None = None

    def signs_at(self, now_seconds: float) -> bool:
        """Whether it still signs."""
        return self.expires_at is None or now_seconds < self.expires_at


def new_key(scheme: Scheme, seed: bytes) -> SigningKey:
    """A key of 32 random bytes."""
    if scheme is Scheme.HMAC_SHA256:
        return SigningKey(scheme, seed)
    return SigningKey(scheme, seed + _ed25519(seed).public_key().public_bytes_raw())


def secret_text(key: SigningKey) -> str:
    """`whsec_` or `whsk_` and base64, as it was given or made."""
    prefix = _HMAC_PREFIX if key.scheme is Scheme.HMAC_SHA256 else _PRIVATE_PREFIX
    return prefix + base64.b64encode(key.material).decode()


def public_key_text(key: SigningKey) -> str | None:
    """`whpk_` and base64 of the 32 bytes that receivers verify ed25519 signatures with; None for a shared secret."""
    if key.scheme is Scheme.HMAC_SHA256:
        return None
    return _PUBLIC_PREFIX + base64.b64encode(_ed25519(key.material).public_key().public_bytes_raw()).decode()


def parse_secret(text: str) -> SigningKey:
    """The key in `text`; SecretRefused unless it is `whsec_` and base64 of 24 to 64 bytes, or `whsk_` and base64 of an
    ed25519 seed of 32 bytes or of seed and public key."""
    if text.startswith(_PRIVATE_PREFIX):
        return _parse_private(text.removeprefix(_PRIVATE_PREFIX))
    if text.startswith(_PUBLIC_PREFIX):
        raise SecretRefused("Give the private key (whsk_…), not the public one: the notifier signs with it.")
    material = _decoded(text.removeprefix(_HMAC_PREFIX))
    if not text.startswith(_HMAC_PREFIX) or not SECRET_BYTES_MIN <= len(material) <= SECRET_BYTES_MAX:
        raise SecretRefused(
            f"Write the secret as {_HMAC_PREFIX} and base64 of {SECRET_BYTES_MIN}-{SECRET_BYTES_MAX} bytes, or as "
            f"{_PRIVATE_PREFIX} and base64 of an ed25519 private key."
        )
    return SigningKey(Scheme.HMAC_SHA256, material)


def signature_header(keys: Iterable[SigningKey], *, message_id: str, timestamp_seconds: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `version,base64` per key in the given order, newest first.

    Exactly one space between signatures and one comma in each: a widely used verifier fails on anything else.
    """
    signed = b"%s.%d.%s" % (message_id.encode("ascii"), timestamp_seconds, body)
    valid = [key for key in keys if key.signs_at(timestamp_seconds)]
    return " ".join(_sign(key, signed) for key in valid[:SIGNATURES_MAX])


def _sign(key: SigningKey, signed: bytes) -> str:
    if key.scheme is Scheme.ED25519:
        signature = _ed25519(key.material).sign(signed)
    else:
        signature = hmac.digest(key.material, signed, hashlib.sha256)
    return f"{key.scheme},{base64.b64encode(signature).decode()}"


def _parse_private(text: str) -> SigningKey:
    material = _decoded(text)
    if len(material) not in (_SEED_BYTES, ED25519_BYTES):
        raise SecretRefused(
            f"Write the private key as {_PRIVATE_PREFIX} and base64 of {_SEED_BYTES} bytes (the seed) or "
            f"{ED25519_BYTES} (seed and public key)."
        )
    public = _ed25519(material).public_key().public_bytes_raw()
    if material[_SEED_BYTES:] not in (b"", public):
        raise SecretRefused("The private key does not end with its public key; give the seed of 32 bytes alone.")
    return SigningKey(Scheme.ED25519, material)


def _ed25519(material: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(material[:_SEED_BYTES])


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
