"""One service process: its workers, its signals, its end. A worker that fails ends it; the orchestrator restarts."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog
import uvloop

from services.runtime.kafka import BrokerTrouble

log = structlog.get_logger(__name__)


class Stopping:
    """Set once by SIGTERM or SIGINT; workers wait on it and finish."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        """Ask everything to finish."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the process was asked to finish."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> bool:
        """Wait for `seconds`, or less when asked to finish; returns whether it was."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        return True


class WorkerFailed(Exception):
    """A worker ended although nobody asked it to."""


async def run_workers(
    workers: dict[str, Callable[[], Coroutine[Any, Any, None]]],
    *,
    stopping: Stopping,
    drain: Callable[[], Awaitable[None]],
    drain_seconds: float,
) -> None:
    """Run `workers` until one fails or a stop is requested, then `drain` within `drain_seconds` and end the rest.

    Raises WorkerFailed with the worker's own error as cause.
    """
    tasks = {asyncio.create_task(start(), name=name) for name, start in workers.items()}
    asked = asyncio.create_task(stopping.wait(), name="stop-requested")
    try:
        done, _ = await asyncio.wait({*tasks, asked}, return_when=asyncio.FIRST_COMPLETED)
        # One that returns because a stop was requested has not failed.
        failed = next((task for task in done - {asked} if not stopping or _error_of(task) is not None), None)
        if failed is not None:
            log.error("worker_ended", worker=failed.get_name(), exc_info=_error_of(failed))
            stopping.request()
        try:
            await asyncio.wait_for(drain(), drain_seconds)
        except TimeoutError:
            log.warning("drain_cut_short", seconds=drain_seconds)
        if failed is not None:
            raise WorkerFailed(failed.get_name()) from _error_of(failed)
    finally:
        for task in (*tasks, asked):
            task.cancel()
        await asyncio.gather(*tasks, asked, return_exceptions=True)


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    # A library's own cancellation may end a worker too.
    return None if task.cancelled() else task.exception()


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """As by default; but the Kafka library fails futures of its own, and of ours that were given up, unheard. Whoever
    asked the broker has told of its failure."""
    unheard = "Future exception was never retrieved" in context["message"]
    if not unheard or not isinstance(context.get("exception"), BrokerTrouble):
        loop.default_exception_handler(context)


def run(main: Callable[[Stopping], Coroutine[Any, Any, None]]) -> int:
    """Run `main` on uvloop with SIGTERM and SIGINT bound to its Stopping; the exit status for the shell.

    It may have as many connections as the system lets it: the lower limit is for programs that cannot count so far.
    """
    with suppress(ValueError, OSError):
        _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))

    async def bound() -> None:
        stopping = Stopping()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_tell)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.request)
        await main(stopping)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bound())
    except WorkerFailed:
        return 1
    return 0
