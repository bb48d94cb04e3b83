"""Stops a stack's processes when their supervisor is gone, however it died: run as a script, standard library alone.

Standard input carries lines "+ PID SIGNAL" and "- PID". Its end means that the supervisor is gone: every process still
registered gets its stop signal, and after five seconds SIGKILL for its whole group. The keeper inherits the lock of the
data folder, whose descriptor is its one argument: the lock stays held until nothing of the stack is left, and the file
is emptied at once, as the supervisor it names is no more.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

GRACE_SECONDS = 5.0


def _is_alive(pid: int) -> bool:
    if os.path.isdir("/proc/self"):
        # A zombie, which nobody may ever reap in a container, still answers to signals.
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] != b"Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(pid: int, number: int) -> None:
    try:
        if number == signal.SIGKILL:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _registered(lines: Iterable[bytes]) -> dict[int, int]:
    """The stop signal of each process registered and not taken out again, once the lines end."""
    processes: dict[int, int] = {}
    for line in lines:
        sign, pid, *number = line.split()
        if sign == b"+":
            processes[int(pid)] = int(number[0])
        else:
            processes.pop(int(pid), None)
    return processes


def main(lock: int) -> None:
    """Waits for the supervisor's end, then for the end of its processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes = _registered(sys.stdin.buffer)
    os.ftruncate(lock, 0)
    for pid, stop_signal in processes.items():
        _signal(pid, stop_signal)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(map(_is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in processes:
        _signal(pid, signal.SIGKILL)
    while any(map(_is_alive, processes)) and time.monotonic() < deadline + GRACE_SECONDS:
        time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]))
