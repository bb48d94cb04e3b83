"""Starts servers, one-shot jobs and services in order, starts again what dies, and stops everything in reverse."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, Protocol

import psutil

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StopRequested
from deploy.local.processes import Launcher, Process, Program, failed
from deploy.local.progress import Progress
from deploy.local.restarts import RestartDelay

_READY_TIMEOUT_SECONDS = 90.0
_JOB_TIMEOUT_SECONDS = 300.0
_LEFTOVER_TIMEOUT_SECONDS = 5.0


class Part(Protocol):
    """Something that is kept running: a server or a service."""

    @property
    def name(self) -> str: ...

    def prepare(self, launcher: Launcher) -> None:
        """Does what has to be done once before the program can start."""

    def program(self) -> Program: ...

    def is_ready(self) -> bool: ...


@dataclass
class _Running:
    part: Part
    process: Process
    delay: RestartDelay = field(default_factory=RestartDelay)
    restarts: int = 0
    restart_at: float | None = None


class Stack:
    """Runs `servers` (side by side), `jobs` (one by one), `services` (side by side), then calls `after_start`.

    As a context manager it starts on entry and stops on exit. `stopping` ends every wait of it; `lock` is the data
    folder's, held from before the ports were chosen until after the exit.
    """

    def __init__(
        self,
        *,
        data: DataFolder,
        lock: int,
        servers: Sequence[Part],
        jobs: Sequence[Program] = (),
        services: Sequence[Part] = (),
        after_start: Callable[[], None] | None = None,
        connection: dict[str, Any],
        progress: Progress,
        stopping: Event,
    ) -> None:
        self.connection = connection
        self._data = data
        self._lock = lock
        self._servers = servers
        self._jobs = jobs
        self._services = services
        self._after_start = after_start
        self._progress = progress
        self._stopping = stopping
        self._running: dict[str, _Running] = {}
        self._launcher: Launcher | None = None
        self._ready = False
        # Parts start side by side, each in a thread that records.
        self._recording = Lock()

    def __enter__(self) -> "Stack":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when everything answers. Raises StackError with the end of the log of what failed."""
        _end_leftovers(self._data.read_state())
        self._launcher = Launcher(data=self._data, stopping=self._stopping, lock=self._lock)
        self._record()
        self._start_all(self._servers, self._launcher)
        for job in self._jobs:
            began = time.monotonic()
            self._progress.doing(f"{job.name} …")
            self._launcher.run(job, timeout_seconds=_JOB_TIMEOUT_SECONDS)
            self._progress.say(f"{job.name} done in {time.monotonic() - began:.1f} s")
        self._start_all(self._services, self._launcher)
        if self._after_start is not None:
            self._after_start()
        self._progress.idle()
        self._ready = True
        self._record()

    def watch(self) -> None:
        """Starts again whatever dies, until `stopping` is set."""
        while not self._stopping.wait(0.1):
            for running in self._running.values():
                self._tend(running)

    def stop(self) -> None:
        """Stops the services, then the servers; what does not end in time is killed."""
        self._progress.idle()
        for parts in (self._services, self._servers):
            processes = [self._running.pop(part.name).process for part in parts if part.name in self._running]
            for process in processes:
                process.ask_to_stop()
            for process in processes:
                process.wait()
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None
            self._data.write_state({})

    def _start_all(self, parts: Sequence[Part], launcher: Launcher) -> None:
        if not parts:
            return
        with ThreadPoolExecutor(len(parts)) as pool:
            futures = [pool.submit(self._start_one, part, launcher) for part in parts]
        failures = [error for error in (future.exception() for future in futures) if error is not None]
        # One failure makes the others stop waiting, which is not what people need to hear of.
        failures.sort(key=lambda error: isinstance(error, StopRequested))
        if failures:
            raise failures[0]

    def _start_one(self, part: Part, launcher: Launcher) -> None:
        try:
            began = time.monotonic()
            self._progress.doing(f"starting {part.name} …")
            part.prepare(launcher)
            process = launcher.start(part.program())
            self._running[part.name] = _Running(part=part, process=process)
            self._record()
            launcher.wait_until(
                lambda: process.exit_code() is not None or part.is_ready(),
                what=part.name,
                timeout_seconds=_READY_TIMEOUT_SECONDS,
            )
            if process.exit_code() is not None:
                raise failed(process)
            self._progress.say(f"{part.name} ready in {time.monotonic() - began:.1f} s")
        except BaseException:
            self._stopping.set()
            raise

    def _tend(self, running: _Running) -> None:
        assert self._launcher is not None
        code = running.process.exit_code()
        if code is None:
            return
        now = time.monotonic()
        name = running.part.name
        if running.restart_at is None:
            wait_seconds = running.delay.after(time.time() - running.process.started_at)
            running.restart_at = now + wait_seconds
            advice = f" It keeps failing: see {running.process.log}" if running.delay.hopeless else ""
            self._record()
            self._progress.say(f"{name} died ({_ending(code)}); starting it again in {wait_seconds:.1f} s.{advice}")
        elif now >= running.restart_at:
            running.process = self._launcher.start(running.part.program())
            running.restart_at = None
            running.restarts += 1
            self._record()

    def _record(self) -> None:
        with self._recording:
            self._write_state()

    def _write_state(self) -> None:
        processes = [
            {
                "name": running.part.name,
                "pid": running.process.pid,
                "started_at": running.process.started_at,
                "restarts": running.restarts,
                "waiting": running.restart_at is not None,
                "log": str(running.process.log),
            }
            for running in list(self._running.values())
        ]
        self._data.write_state(
            {"supervisor": os.getpid(), "ready": self._ready, "connection": self.connection, "processes": processes}
        )


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _end_leftovers(state: dict[str, Any]) -> None:
    """Ends what an earlier stack of this folder left when both its supervisor and its keeper were killed."""
    leftovers = []
    for recorded in state.get("processes", ()):
        try:
            process = psutil.Process(recorded["pid"])
        except psutil.NoSuchProcess:
            continue
        # The number may have been given to a stranger since.
        is_ours = abs(process.create_time() - recorded["started_at"]) < 2
        if is_ours and process.status() != psutil.STATUS_ZOMBIE:
            process.terminate()
            leftovers.append(process)
    _, alive = psutil.wait_procs(leftovers, timeout=_LEFTOVER_TIMEOUT_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=_LEFTOVER_TIMEOUT_SECONDS)
