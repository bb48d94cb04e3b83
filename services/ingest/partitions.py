"""Which partition a key belongs to, as every Java client computes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

# Hashing costs 2 µs for a short key in Python, a look-up 0.1. Of the longest ids so many take 40 MB.
KEPT_IDS_MAX: Final = 50_000


@cache
def partitioner(partitions: int) -> Callable[[str], tuple[bytes, int]]:
    """A function from an id to (key bytes, partition) on a topic of `partitions`; one for all, as it keeps ids."""

    @lru_cache(maxsize=KEPT_IDS_MAX)
    def place(key: str) -> tuple[bytes, int]:
        encoded = key.encode()
        return encoded, (murmur2(encoded) & 0x7FFFFFFF) % partitions

    return place
