"""A PostgreSQL and a Kafka for tests that may kill them: they are started again as in production."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

import psutil

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone


@contextmanager
def private_servers(name: str) -> Iterator[DataFolder]:
    """The pair, in a folder of this name that is deleted at the end."""
    data, stopping = DataFolder(root() / ".firstvalue-test" / f"{name}-{os.getpid()}"), Event()
    with servers_alone(data, jars=jars_path(), environment={}, progress=Silence(), stopping=stopping) as stack:
        watching = threading.Thread(target=stack.watch)
        watching.start()
        try:
            yield data
        finally:
            stopping.set()
            watching.join()
    shutil.rmtree(data.path)


def pid_of(data: DataFolder, name: str) -> int:
    """The process of one of the servers, `postgres` or `kafka`."""
    return next(int(entry["pid"]) for entry in data.read_state()["processes"] if entry["name"] == name)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A server and its children that accept connections and answer nothing."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
