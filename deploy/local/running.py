"""Finds, starts in the background and stops the stack that runs in a data folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Literal

from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError
from deploy.local.progress import Progress

Mode = Literal["servers", "services"]
# What comes with the services: the built-in plan; Prometheus.
Extra = Literal["plan", "observability"]
_START_TIMEOUT_SECONDS = 300.0
_STOP_TIMEOUT_SECONDS = 120.0


def start_in_background(
    data: DataFolder, mode: Mode, *, extras: Collection[Extra] = (), progress: Progress
) -> dict[str, Any]:
    """Starts a supervisor that outlives this process, shows its lines, and returns the connection when it is ready.

    Raises AlreadyRunning when the folder is in use, StackError when the stack does not start.
    """
    data.create()
    if data.lock_holder() is not None:
        raise AlreadyRunning(f"a stack runs already in {data.path}")
    supervisor = subprocess.Popen(  # noqa: S603 - our own module
        (sys.executable, "-m", "deploy.local.supervisor", str(data.path), mode, *extras),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert supervisor.stderr is not None
    # Ends when the supervisor turns to its own log, being ready, or ends itself.
    for line in supervisor.stderr:
        progress.say(line.decode(errors="replace").rstrip())
    supervisor.stderr.close()
    connection = wait_until_running(data, is_hopeless=lambda: data.lock_holder() is None)
    # Python would warn of a child that is left running, which is the purpose here.
    supervisor.returncode = supervisor.poll() or 0
    if connection is None:
        raise StackError(f"the stack did not start; its logs are in {data.logs}")
    return connection


def wait_until_running(data: DataFolder, *, is_hopeless: Callable[[], bool]) -> dict[str, Any] | None:
    """The connection of the stack in this folder as soon as it is ready; None when there is none, or it gives up."""
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        state = data.read_state()
        if state.get("ready") and data.lock_holder() == state["supervisor"]:
            connection: dict[str, Any] = state["connection"]
            return connection
        if is_hopeless():
            return None
        time.sleep(0.1)
    raise StackError(f"the stack in {data.path} did not become ready within {_START_TIMEOUT_SECONDS:.0f} s")


def stop_running(data: DataFolder) -> bool:
    """Stops the stack in this folder and waits until nothing of it is left; False when none runs."""
    holder = data.lock_holder()
    if holder is None:
        return False
    if holder != 0:
        with suppress(ProcessLookupError):
            os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while data.lock_holder() is not None:
        if time.monotonic() > deadline:
            raise StackError(f"the stack in {data.path} (process {holder}) did not stop; see {data.logs}")
        time.sleep(0.05)
    return True


def shared_servers(data: DataFolder) -> dict[str, Any]:
    """The connection of PostgreSQL and Kafka that keep running in this folder; the first caller starts them."""
    while True:
        running = wait_until_running(data, is_hopeless=lambda: data.lock_holder() is None)
        if running is not None:
            return running
        with suppress(AlreadyRunning):
            return start_in_background(data, "servers", progress=Progress())
