"""A local stack of stand-in services; `python -m tests.fakes.stand_in_stack DATA_FOLDER [stubborn]` supervises one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.places import root
from deploy.local.processes import Program
from deploy.local.progress import Silence
from deploy.local.services import Service
from deploy.local.stack import Stack
from deploy.local.supervisor import stop_on_signals

STAND_IN = (sys.executable, "-m", "tests.fakes.stand_in_service")


def stand_in(name: str, *, port: int, words: tuple[str, ...] = (), command: tuple[str, ...] = STAND_IN) -> Service:
    """A service which is ready when `port` answers."""
    arguments = (*command, str(port), *words)
    return Service(name=name, command=arguments, environment=os.environ, port=port, metrics_port=port, folder=root())


@contextmanager
def stand_in_stack(
    data: DataFolder, *, stopping: Event, words: tuple[str, ...] = (), job: tuple[str, ...] = ("true",)
) -> Iterator[Stack]:
    """Runs a server that obeys, one job, and a service which does as `words` tell it, such as `stubborn`."""
    with data.locked() as lock:
        ports = data.ports(["server", "service"], wanted={})
        stack = Stack(
            data=data,
            lock=lock,
            servers=[stand_in("server", port=ports["server"])],
            jobs=[Program(name="job", command=job, environment=os.environ)],
            services=[stand_in("service", port=ports["service"], words=words)],
            connection={"stand-in": ports["server"]},
            progress=Silence(),
            stopping=stopping,
        )
        with stack:
            yield stack


if __name__ == "__main__":
    data_folder, words_given = DataFolder(Path(sys.argv[1])), tuple(sys.argv[2:])
    with stand_in_stack(data_folder, stopping=stop_on_signals(), words=words_given) as running:
        running.watch()
