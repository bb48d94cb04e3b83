"""Under which name an erased account is remembered: a keyed hash, the same in every service, from which nobody reads
its id."""

from __future__ import annotations

from hashlib import blake2b

# Changing it would make every tombstone forget its account.
_KEY = b"firstvalue.erased-account"
_PREFIX = "erased:"


def account_hash(account_id: str) -> bytes:
    """32 bytes."""
    return blake2b(account_id.encode(), digest_size=32, key=_KEY).digest()


def pseudonym(account_id: str) -> str:
    """What stands in the place of an erased account's id, 71 characters."""
    return _PREFIX + account_hash(account_id).hex()


def is_pseudonym(account_id: str) -> bool:
    """Whether this stands in the place of an erased account's id."""
    return account_id.startswith(_PREFIX)
