"""Ids for events that came without one: the same event through a retry must get the same id."""

from __future__ import annotations

import os
import time
import uuid
from hashlib import blake2b


def message_id_of(raw: bytes) -> str:
    """The id of an event that carries its own timestamp: a hash of its bytes, which a retry sends again."""
    return "h-" + blake2b(raw, digest_size=16).hexdigest()


def new_message_id() -> str:
    """A UUIDv7, for an event that two sendings of could not be told from two events."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    bits = milliseconds << 80 | random
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    return str(uuid.UUID(int=bits))
