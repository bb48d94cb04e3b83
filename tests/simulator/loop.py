"""Virtual time: an event loop whose clock jumps from timer to timer, and whose processes take turns by seeded dice.

Every callback belongs to the process in whose context it was scheduled. So a process can stand still as by SIGSTOP (its
callbacks wait), or end as by kill -9 (they wait for ever, and no `finally` of it runs).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

# A world that takes more steps than this will not end.
STEPS_MAX = 5_000_000


class Process:
    """One process of the world. `fuse` is after how many more steps it dies, `doom` the place at which it dies once it
    has been reached `spared` more times; `at` the last place that it reached."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.alive = True
        self.paused = False
        self.fuse: int | None = None
        self.doom = ""
        self.spared = 0
        self.at = "start"
        self.on_death: Callable[[Process], None] = lambda _: None

    def reach(self, place: str) -> None:
        """Note a step of the protocol, and die here if that is its doom."""
        if not self.alive:
            return
        self.at = place
        if place == self.doom:
            self.spared -= 1
            if self.spared < 0:
                self.kill()

    def kill(self) -> None:
        """End at once; what it has sent is on its way."""
        if self.alive:
            self.alive = False
            self.on_death(self)


_process: ContextVar[Process] = ContextVar("process")


# Its many methods for I/O are left out on purpose.
_Interface: Any = asyncio.AbstractEventLoop


class VirtualLoop(_Interface):  # type: ignore[misc]
    """What asyncio's tasks, futures and timeouts need of a loop, and no I/O."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Process]] = []
        self._numbers = itertools.count()
        self._runnable: list[Process] = []
        self._tasks: dict[asyncio.Task[Any], Process] = {}
        self._world = Process("world")
        self._outside = copy_context()
        self._outside.run(_process.set, self._world)

    def time(self) -> float:
        """Seconds since the world began."""
        return self._now

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whoever asks is run by it."""
        return True

    def is_closed(self) -> bool:
        """It holds nothing to close."""
        return False

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], *, name: object = None, context: Any = None
    ) -> asyncio.Task[T]:
        """A task; kept until it is done, so that nobody's `finally` runs by chance of garbage collection."""
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=str(name), context=context)
        self._tasks[task] = _process.get(self._world) if context is None else context.get(_process, self._world)
        task.add_done_callback(self._tasks.pop)
        return task

    def spawn(self, process: Process, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine, and everything that it starts, as this process."""
        context = copy_context()
        context.run(_process.set, process)
        return self.create_task(coroutine, context=context)

    def outside(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back after `delay` seconds whatever happens to the process that asks."""
        self.call_at(self._now + delay, callback, *args, context=self._outside)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """Run after what the process has waiting already."""
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._offer(context.get(_process, self._world), handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run in `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run at a time of this loop's clock."""
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle, context.get(_process, self._world)))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A callback that failed is a mistake in the simulator; errors that the dead never read are not."""
        if "handle" in context:
            raise context["exception"]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""

    def resume(self, process: Process) -> None:
        """Wake a paused process: everything that came meanwhile is waiting for it."""
        process.paused = False
        if process.ready:
            self._runnable.append(process)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run until this coroutine is done, then end whatever else still runs."""
        asyncio._set_running_loop(self)
        try:
            main = self.create_task(coroutine)
            self._run_until(main.done)
            self._bury()
            return main.result()
        finally:
            asyncio._set_running_loop(None)

    def _offer(self, process: Process, handle: asyncio.Handle) -> None:
        process.ready.append(handle)
        if len(process.ready) == 1 and process.alive and not process.paused:
            self._runnable.append(process)

    def _run_until(self, done: Callable[[], bool]) -> None:
        for _ in range(STEPS_MAX):
            if done():
                return
            if self._runnable:
                self._step()
            else:
                self._advance()
        raise AssertionError("the world does not end")

    def _step(self) -> None:
        """Let one process take one step."""
        index = int(self._dice.random() * len(self._runnable))
        process = self._runnable[index]
        if process.ready and process.alive and not process.paused:
            handle = process.ready.popleft()
            if not handle.cancelled():
                handle._run()
                if process.fuse is not None:
                    process.fuse -= 1
                    if process.fuse <= 0:
                        process.kill()
        if not process.ready or process.paused or not process.alive:
            self._runnable[index] = self._runnable[-1]
            self._runnable.pop()

    def _advance(self) -> None:
        """Nobody can go on: it becomes as late as the next timer says."""
        assert self._timers, "everybody waits for something that never comes"
        when, _, handle, process = heapq.heappop(self._timers)
        if not handle.cancelled():
            self._now = max(self._now, when)
            self._offer(process, handle)

    def _bury(self) -> None:
        """Cancel what the dead and the living left, so that no task is destroyed pending."""
        for task in list(self._tasks):
            task.cancel()
        for process in dict.fromkeys(self._tasks.values()):
            process.alive, process.fuse, process.doom = True, None, ""
            self.resume(process)
        self._run_until(lambda: not self._tasks)
