"""The processor time of a batch's step is its own, whatever others use while it waits."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from services.activation_engine.metrics import EngineMetrics


def _use(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


async def test_a_step_is_charged_for_what_it_uses_itself() -> None:
    """Its result comes back, and others may work while it waits."""
    metrics = EngineMetrics(CollectorRegistry())

    async def step() -> str:
        _use(0.01)
        await asyncio.sleep(0.001)
        _use(0.01)
        return "done"

    async def others() -> None:
        _use(0.2)

    result, _ = await asyncio.gather(metrics.timed("fold", step()), others())
    assert result == "done"
    used = metrics.registry.get_sample_value("firstvalue_engine_phase_cpu_seconds_total", {"phase": "fold"})
    assert used is not None
    assert 0.02 <= used < 0.1


async def test_what_a_step_raises_and_what_is_thrown_at_it_passes() -> None:
    """A cancelled step ends as it would by itself."""
    metrics, ended = EngineMetrics(CollectorRegistry()), []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(ValueError):
        await metrics.timed("load", fails())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await metrics.timed("load", waits())
    assert ended == [True]
