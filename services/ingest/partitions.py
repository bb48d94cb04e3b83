"""Which partition a key belongs to, as every Java client computes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from aiokafka.partitioner import murmur2

# Hashing costs 2 µs for a short key in Python, a look-up 0.1.
_CACHED_KEYS_MAX = 100_000


def partitioner(partitions: int) -> Callable[[str], tuple[bytes, int]]:
    """A function from an id to (key bytes, partition) on a topic of `partitions`."""

    @lru_cache(maxsize=_CACHED_KEYS_MAX)
    def place(key: str) -> tuple[bytes, int]:
        encoded = key.encode()
        return encoded, (murmur2(encoded) & 0x7FFFFFFF) % partitions

    return place
