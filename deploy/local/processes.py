"""Starts and stops the stack's processes so that none outlives the supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.errors import StackError, StopRequested

_HERE = Path(__file__).parent
_SCRIPT = (sys.executable, "-I", "-S")
_TAIL_LINES = 12


@dataclass(frozen=True, kw_only=True)
class SystemUser:
    """Whom a program runs as when the supervisor is root; `keep_read_access` lets it pass folders closed to others."""

    user_id: int
    keep_read_access: bool


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command with its whole environment; `stop_signal` asks it to end in good order."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: SystemUser | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 30.0
    folder: Path = field(default_factory=Path.cwd)


class Process:
    """One running program."""

    def __init__(
        self,
        program: Program,
        popen: subprocess.Popen[bytes],
        *,
        log: Path,
        log_start: int,
        forget: Callable[[int], None],
    ) -> None:
        self.program = program
        self.pid = popen.pid
        self.started_at = time.time()
        self.log = log
        self._log_start = log_start
        self._popen = popen
        self._forget = forget

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        code = self._popen.returncode
        if code is None and (code := self._popen.poll()) is not None:
            self._forget(self.pid)
        return code

    def ask_to_stop(self) -> None:
        """Sends the stop signal, and does not wait."""
        if self.exit_code() is None:
            self._popen.send_signal(self.program.stop_signal)

    def wait(self) -> int:
        """Waits for its end and returns its exit code; kills it after the program's `stop_timeout_seconds`."""
        if (code := self.exit_code()) is not None:
            return code
        try:
            code = self._popen.wait(self.program.stop_timeout_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            code = self._popen.wait()
        self._forget(self.pid)
        return code

    def log_tail(self) -> str:
        """The last lines it wrote."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])


def failed(process: Process) -> StackError:
    """The error that tells how a process ended and what it wrote last."""
    name, code = process.program.name, process.exit_code()
    return StackError(f"{name} failed with exit code {code}. The end of {process.log}:\n{process.log_tail()}")


class Launcher:
    """Starts programs and a keeper that ends them should this process die, even by SIGKILL.

    `stopping` ends every wait; `lock`, a file descriptor, stays locked as long as the keeper lives.
    """

    def __init__(self, *, data: DataFolder, stopping: Event, lock: int) -> None:
        self.data = data
        self.stopping = stopping
        read_end, self._keeper_pipe = os.pipe()
        self._keeper = subprocess.Popen(  # noqa: S603 - our own script
            (*_SCRIPT, str(_HERE / "keeper.py"), str(lock)),
            stdin=read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,
            cwd="/",
        )
        os.close(read_end)

    def start(self, program: Program) -> Process:
        """Starts the program in a session of its own, its output appended to its log."""
        user = program.user or SystemUser(user_id=-1, keep_read_access=False)
        log = self.data.log(program.name)
        arguments = (self._keeper_pipe, int(program.stop_signal), user.user_id, int(user.keep_read_access))
        with log.open("ab") as output:
            log_start = output.tell()
            popen = subprocess.Popen(  # noqa: S603 - the programs are ours to choose
                (*_SCRIPT, str(_HERE / "launch.py"), *map(str, arguments), *program.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(program.environment),
                cwd=program.folder,
                pass_fds=(self._keeper_pipe,),
            )
        return Process(program, popen, log=log, log_start=log_start, forget=self._forget)

    def run(self, program: Program, *, timeout_seconds: float) -> None:
        """Runs a program to its end; raises StackError with the end of its log when it fails."""
        process = self.start(program)
        try:
            self.wait_until(lambda: process.exit_code() is not None, what=program.name, timeout_seconds=timeout_seconds)
        except StackError:
            process.ask_to_stop()
            process.wait()
            raise
        if process.exit_code() != 0:
            raise failed(process)

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout_seconds: float) -> None:
        """Polls the condition; raises StackError when it does not hold in time, StopRequested when the stack stops."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if self.stopping.wait(0.05):
                raise StopRequested(f"stopped while waiting for {what}")
            if time.monotonic() > deadline:
                raise StackError(f"{what} was not ready within {timeout_seconds:.0f} s; see {self.data.logs}")

    def close(self) -> None:
        """Lets the keeper go; it ends what is still running."""
        os.close(self._keeper_pipe)
        self._keeper.wait()

    def _forget(self, pid: int) -> None:
        # Before its number can be given to another process, or nearly so.
        os.write(self._keeper_pipe, f"- {pid}\n".encode())
