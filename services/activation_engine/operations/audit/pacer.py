"""Turns for others: the audit shares its event loop with the engine, which must not wait for it."""

from __future__ import annotations

import asyncio
import time

# Far below the 50 ms that anything may hold the loop; what is done between two looks adds to it.
_SLICE_SECONDS = 0.005
# What seems longer than this was spent waiting for others.
_REST_SECONDS_MAX = 0.05


class Pacer:
    """Rests as long as was worked, so that at most half of a processor is used."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def rest_if_due(self) -> None:
        """Call often: between two records, between two rows."""
        used = time.perf_counter() - self._since
        if used >= _SLICE_SECONDS:
            await asyncio.sleep(min(used, _REST_SECONDS_MAX))
            self._since = time.perf_counter()
