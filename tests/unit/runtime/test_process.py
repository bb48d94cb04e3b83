"""A process ends when it is asked to, when a worker fails, and never later than its drain time."""

from __future__ import annotations

import asyncio
import gc
import resource
import time

import pytest
from aiokafka.errors import KafkaError

from services.runtime.process import Stopping, WorkerFailed, run, run_workers


async def nothing() -> None:
    """A drain with nothing to do."""


async def test_a_stop_request_drains_before_workers_end() -> None:
    """Workers may still work while the drain runs; afterwards they are cancelled."""
    stopping, steps = Stopping(), []

    async def worker() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("worker ended")

    async def drain() -> None:
        steps.append("drained")

    stopping.request()
    await run_workers({"worker": worker}, stopping=stopping, drain=drain, drain_seconds=5)
    assert steps == ["drained", "worker ended"]


async def test_a_failed_worker_ends_the_process() -> None:
    """One failure stops everything and is told with its cause."""
    stopping = Stopping()

    async def worker() -> None:
        raise RuntimeError("lost")

    with pytest.raises(WorkerFailed) as failed:
        await run_workers({"worker": worker}, stopping=stopping, drain=nothing, drain_seconds=5)
    assert isinstance(failed.value.__cause__, RuntimeError)
    assert stopping


async def test_a_worker_that_returns_unasked_is_a_failure() -> None:
    """Nothing may silently stop being done."""
    with pytest.raises(WorkerFailed):
        await run_workers({"worker": nothing}, stopping=Stopping(), drain=nothing, drain_seconds=5)


async def test_a_worker_that_a_library_cancels_is_a_failure() -> None:
    """It is drained like any other."""
    drained = []

    async def worker() -> None:
        raise asyncio.CancelledError

    async def drain() -> None:
        drained.append(True)

    with pytest.raises(WorkerFailed):
        await run_workers({"worker": worker}, stopping=Stopping(), drain=drain, drain_seconds=5)
    assert drained


async def test_drain_is_bounded() -> None:
    """A drain that hangs is cut at its time."""
    stopping = Stopping()
    stopping.request()
    started = time.monotonic()

    async def drain() -> None:
        await asyncio.Event().wait()

    await run_workers({}, stopping=stopping, drain=drain, drain_seconds=0.05)
    assert time.monotonic() - started < 2


async def test_stopping_cuts_a_wait_short() -> None:
    """A worker that waits for its next turn hears of the stop at once."""
    stopping = Stopping()
    assert not await stopping.sleep(0.001)
    stopping.request()
    assert await stopping.sleep(60)


def test_a_process_may_have_as_many_connections_as_the_system_lets_it() -> None:
    """Whatever lower limit the shell that started it had."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    found: list[tuple[int, int]] = []

    async def look(_: Stopping) -> None:
        found.append(resource.getrlimit(resource.RLIMIT_NOFILE))

    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1] - 1, limits[1]))
    try:
        assert run(look) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found == [(limits[1], limits[1])]


@pytest.mark.parametrize(("error", "told"), [(KafkaError("gone"), 0), (ValueError("ours"), 1)], ids=["broker", "ours"])
def test_a_failure_that_nobody_asked_for_is_told_unless_it_is_the_brokers(
    error: Exception, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The Kafka library fails futures that only it knows."""

    async def forget(_: Stopping) -> None:
        asyncio.get_running_loop().create_future().set_exception(error)
        gc.collect()

    assert run(forget) == 0
    assert sum("never retrieved" in record.message for record in caplog.records) == told
