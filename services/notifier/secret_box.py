"""Encrypts endpoints' secrets at rest: AES-256-GCM, bound to the endpoint they belong to and to what they are for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted with the configured keys; the message says which key it needs."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as stored; `key_id` names the key without revealing it."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class SecretBox:
    """Seals under one master key of 32 bytes; opens under it and under `older` ones, from before it was changed."""

    def __init__(self, key: bytes, older: Sequence[bytes] = ()) -> None:
        self.key_id = _key_id(key)
        self._ciphers = {_key_id(each): AESGCM(each) for each in (key, *older)}

    def seal(self, material: bytes, *, bound_to: str) -> Sealed:
        """`material` encrypted under a fresh nonce; it opens for the same purpose only."""
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(self.key_id, nonce, self._ciphers[self.key_id].encrypt(nonce, material, bound_to.encode()))

    def open(self, sealed: Sealed, *, bound_to: str) -> bytes:
        """The material; SecretUnreadable if another key, another endpoint or tampering is involved."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            configured = ", ".join(self._ciphers)
            raise SecretUnreadable(
                f"A secret of {bound_to} needs key {sealed.key_id}, configured is {configured}: set the key that "
                "it was written with in FIRSTVALUE_NOTIFIER_SECRET_KEYS_OLD."
            )
        try:
            return cipher.decrypt(sealed.nonce, sealed.ciphertext, bound_to.encode())
        except InvalidTag:
            raise SecretUnreadable(f"A secret of {bound_to} was altered or belongs to another endpoint.") from None


def parse_key(text: str) -> bytes:
    """The 32 bytes of a base64 setting; ValueError says how to make one."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("must be base64 of 32 random bytes, such as printed by `openssl rand -base64 32`")
    return key


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"firstvalue-notifier-key" + key).hexdigest()[:12]
