"""`python -m deploy.local.supervisor DATA_FOLDER MODE [EXTRA…]` keeps a stack running until told to stop.

What it says goes to standard error until everything answers, and to the stack's own log from then on.
"""

import os
import signal
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import cast

from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError
from deploy.local.places import jars_path
from deploy.local.progress import Progress
from deploy.local.running import Extra
from deploy.local.servers import servers_alone
from deploy.local.stack import Stack
from deploy.local.whole import whole_stack

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> Event:
    """An event which SIGINT, SIGTERM and SIGHUP set from now on."""
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    return stopping


def _turn_to_log(data: DataFolder) -> None:
    log = os.open(data.log("stack"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, sys.stderr.fileno())
    os.close(log)


def _stack(
    data: DataFolder, mode: str, extras: Collection[Extra], *, progress: Progress
) -> AbstractContextManager[Stack]:
    stopping = stop_on_signals()
    if mode == "servers":
        return servers_alone(data, jars=jars_path(), environment={}, progress=progress, stopping=stopping)
    return whole_stack(data, environment=os.environ, extras=extras, progress=progress, stopping=stopping)


def main(data: DataFolder, mode: str, extras: Collection[Extra]) -> int:
    """Returns 0 after a stop in good order or when another stack runs in the folder, else 1."""
    progress = Progress()
    try:
        with _stack(data, mode, extras, progress=progress) as stack:
            _turn_to_log(data)
            stack.watch()
    except AlreadyRunning:
        return 0
    except StackError as error:
        progress.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    _, _folder, _mode, *_extras = sys.argv
    sys.exit(main(DataFolder(Path(_folder)), _mode, cast(list[Extra], _extras)))
