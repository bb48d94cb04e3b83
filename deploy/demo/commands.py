"""`firstvalue demo`: starts a stack of its own, plays the story on it, and ends with the proof's verdict."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Mapping
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from deploy.local.commands import START_PANEL, errors_told
from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError, StopRequested
from deploy.local.places import root
from deploy.local.progress import Progress

if TYPE_CHECKING:
    from deploy.demo.proof import Proof

Result = TypeVar("Result")
_FOLDER = ".firstvalue-demo"
_INTERRUPTED = 130
_SETTINGS = {
    # The story's days are short: the engine's clock must move several times in each.
    "FIRSTVALUE_INGEST_TICK_SECONDS": "0.1",
    "FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": "6",
}


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running at the end, until Ctrl-C.")] = False,
) -> None:
    """Play 80 s of customers' lives on a real stack of its own, kill the engine meanwhile, and prove nothing was lost.

    Exits 1 if a signal is missing, doubled or wrong, or if the engine does not come back.
    """
    progress = Progress()
    with errors_told(progress):
        try:
            proof = _run(progress, keep=keep)
        except StopRequested:
            progress.say("stopped; nothing is left running")
            raise typer.Exit(_INTERRUPTED) from None
    if proof.failures:
        raise typer.Exit(1)


def register(application: typer.Typer) -> None:
    """Adds the command to an application."""
    application.command(rich_help_panel=START_PANEL)(demo)


def _run(progress: Progress, *, keep: bool) -> Proof:
    import asyncio

    from rich.console import Console

    from deploy.demo.results import print_next_steps
    from deploy.demo.run import play
    from deploy.demo.services_client import DemoRefused
    from deploy.local.supervisor import stop_on_signals
    from deploy.local.whole import whole_stack

    data = DataFolder(root() / _FOLDER)
    if data.lock_holder() is not None:
        raise AlreadyRunning(f"a demo runs already in {data.path}; stop it with Ctrl-C where it runs")
    data.wipe()
    stopping = stop_on_signals()
    # A file or a pipe has no width; lines there are as long as they need to be.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    environment = _environment(os.environ)
    with whole_stack(data, environment=environment, progress=progress, stopping=stopping) as stack:
        watching = Thread(target=stack.watch, name="stack")
        watching.start()
        try:
            proof = asyncio.run(_unless(stopping, play(stack.connection, data, console)))
            print_next_steps(console)
            if keep:
                progress.say(
                    "the stack stays up; its addresses and its key: "
                    f"FIRSTVALUE_DATA_DIR={_FOLDER} firstvalue status --json; Ctrl-C stops it"
                )
                stopping.wait()
        except DemoRefused as error:
            raise StackError(str(error)) from error
        finally:
            stopping.set()
            watching.join()
            progress.doing("stopping …")
    progress.idle()
    return proof


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without what points at servers or settings of somebody else: the demo uses nothing but its own."""
    foreign = ("FIRSTVALUE_", "DATABASE_URL", "KAFKA_")
    return {name: value for name, value in given.items() if not name.startswith(foreign)} | _SETTINGS


async def _unless(stopping: Event, work: Coroutine[object, object, Result]) -> Result:
    """The result of `work`; cancels it and raises StopRequested as soon as `stopping` is set."""

    import asyncio

    async def stop_asked() -> None:
        # Polled, as a signal handler of the main thread sets it.
        while not stopping.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    working, stop = asyncio.create_task(work), asyncio.create_task(stop_asked())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise StopRequested("stopped before its end")
    return working.result()
