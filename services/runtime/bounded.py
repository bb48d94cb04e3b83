"""The end of what may hang at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

_CANCEL_SECONDS = 1.0


async def ended(work: Coroutine[Any, Any, None], *, seconds: float) -> bool:
    """Whether it ended by itself, in time and without an error; else it is cancelled, and has a second to heed that."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        in_time = task.done()
    finally:
        task.cancel()
    await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
    return in_time and not task.cancelled() and task.exception() is None
