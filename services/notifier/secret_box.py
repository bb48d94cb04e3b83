"""Encrypts endpoints' secrets at rest: AES-256-GCM, bound to the endpoint they belong to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted with the configured key; the message says which key it needs."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as stored; `key_id` names the key without revealing it."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class SecretBox:
    """Seals and opens secrets under one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(b"firstvalue-notifier-key" + key).hexdigest()[:12]

    def seal(self, material: bytes, *, endpoint_id: str) -> Sealed:
        """`material` encrypted under a fresh nonce; it opens for the same endpoint only."""
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(self.key_id, nonce, self._cipher.encrypt(nonce, material, endpoint_id.encode()))

    def open(self, sealed: Sealed, *, endpoint_id: str) -> bytes:
        """The material; SecretUnreadable if another key, another endpoint or tampering is involved."""
        if sealed.key_id != self.key_id:
            raise SecretUnreadable(f"Secret of {endpoint_id} needs key {sealed.key_id}, configured is {self.key_id}.")
        try:
            return self._cipher.decrypt(sealed.nonce, sealed.ciphertext, endpoint_id.encode())
        except InvalidTag:
            raise SecretUnreadable(f"Secret of {endpoint_id} was altered or belongs to another endpoint.") from None


def parse_key(text: str) -> bytes:
    """The 32 bytes of a base64 setting; ValueError says how to make one."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("must be base64 of 32 random bytes, such as printed by `openssl rand -base64 32`")
    return key
