"""Programs that a benchmark runs beside itself, and the processor time that they take."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deploy.local.places import root


@contextmanager
def program(module: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[psutil.Process]:
    """`python -m` a module with its arguments, its standard error in `log`; terminated at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], env={**os.environ, **environment}, cwd=root(), stderr=output
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    """What a process has used so far, with what children of it that ended had used."""
    return float(sum(process.cpu_times()[:4]))


def tree_cpu_seconds(process: psutil.Process) -> float:
    """The same with children that run: a database server is one process per connection."""
    total = cpu_seconds(process)
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += cpu_seconds(child)
    return total


def machine_cpu_seconds() -> float:
    """What all programs of this machine have used since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
