"""Keeps a stack running in this process or in a background process, and finds the one that runs already.

`python -m deploy.local.supervisor DATA_FOLDER JARS_FOLDER` is the background process for servers without services.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import psutil

from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError
from deploy.local.progress import Progress
from deploy.local.servers import servers_alone

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_START_TIMEOUT_SECONDS = 300.0
_STOP_TIMEOUT_SECONDS = 120.0


def stop_on_signals() -> Event:
    """An event which SIGINT, SIGTERM and SIGHUP set from now on."""
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    return stopping


def start_in_background(data: DataFolder, arguments: Sequence[str], *, progress: Progress) -> dict[str, Any]:
    """Runs `python ARGUMENTS`, a supervisor for this folder, detached; shows its lines; returns the connection when ready.

    A stack that runs already is as good. Raises StackError when the stack does not start.
    """
    data.create()
    with subprocess.Popen(
        (sys.executable, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as supervisor:
        assert supervisor.stderr is not None
        lines = []
        # Ends when the supervisor turns to its own log, being ready, or ends.
        for line in supervisor.stderr:
            lines.append(line.decode(errors="replace").rstrip())
            progress.say(lines[-1])
        connection = wait_until_running(data, is_hopeless=lambda: data.lock_holder() is None)
        # Not ours to wait for any more.
        supervisor.returncode = 0
    if connection is None:
        raise StackError(lines[-1] if lines else f"the stack did not start; see {data.logs}")
    return connection


def become_background(data: DataFolder) -> None:
    """Turns this process's output to the stack's log, which tells `start_in_background` that it is ready."""
    log = os.open(data.log("stack"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, sys.stderr.fileno())
    os.close(log)


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
    if psutil.pid_exists(holder):
        os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while data.lock_holder() is not None:
        if time.monotonic() > deadline:
            raise StackError(f"the stack in {data.path} (process {holder}) did not stop; see {data.logs}")
        time.sleep(0.05)
    return True


def shared_servers(data: DataFolder, *, jars: Path) -> dict[str, Any]:
    """The connection of PostgreSQL and Kafka that keep running in this folder; the first caller starts them."""
    running = wait_until_running(data, is_hopeless=lambda: data.lock_holder() is None)
    if running is not None:
        return running
    arguments = ("-m", "deploy.local.supervisor", str(data.path), str(jars))
    return start_in_background(data, arguments, progress=Progress())


def _main(arguments: list[str]) -> int:
    data = DataFolder(Path(arguments[0]))
    progress, stopping = Progress(), stop_on_signals()
    jars = Path(arguments[1])
    try:
        with servers_alone(data, jars=jars, environment={}, progress=progress, stopping=stopping) as stack:
            become_background(data)
            stack.watch()
    except AlreadyRunning:
        return 0
    except StackError as error:
        progress.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
