"""`firstvalue up`, `down` and `status`: the local stack as typer commands, ready to be registered in an application.

What runs the stack is imported when a command needs it: the packages behind it are not installed where services are
deployed, and every other verb of the command would wait for them.
"""

import json
import os
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.local.data_folder import DataFolder
from deploy.local.errors import AlreadyRunning, StackError, StopRequested
from deploy.local.places import data_path
from deploy.local.progress import Progress
from services.cli.output import AsJson, Refused, Yes, confirm, print_json

if TYPE_CHECKING:
    from deploy.local.running import Extra

START_PANEL = "Start and check"
_UNREACHABLE, _INTERRUPTED = 3, 130
_ADD_PROMETHEUS = "`firstvalue down && firstvalue up --observability`"


def up(
    *,
    no_plan: Annotated[bool, typer.Option("--no-plan", help="Do not publish the built-in plan.")] = False,
    observability: Annotated[
        bool, typer.Option("--observability", help="Add Prometheus with the alerts; needs the program `prometheus`.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it runs; `firstvalue down` stops it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start PostgreSQL, Kafka and the three services here, on free ports of 127.0.0.1, until Ctrl-C."""
    progress, data = Progress(), DataFolder(data_path(os.environ))
    with errors_told(progress):
        from deploy.local.prometheus import find_prometheus
        from deploy.local.running import Extra, start_in_background, wait_until_running

        extras: list[Extra] = [] if no_plan else ["plan"]
        if observability:
            # Before the data folder is made, so that a refusal leaves nothing behind.
            find_prometheus(os.environ)
            extras.append("observability")
        try:
            if detach:
                found = start_in_background(data, "services", extras=extras, progress=progress)
                _announce(found, as_json=as_json)
            else:
                _run_in_foreground(data, extras, as_json=as_json, progress=progress)
        except AlreadyRunning as error:
            progress.say(f"{error}; `firstvalue status` shows it, `firstvalue down` stops it")
            running = wait_until_running(data, is_hopeless=lambda: data.lock_holder() is None)
            if running is None:
                raise StackError(f"the stack in {data.path} is stopping; run `firstvalue up` again") from error
            if observability and "prometheus" not in running:
                raise StackError(f"it runs without Prometheus, which {_ADD_PROMETHEUS} adds") from error
            _announce(running, as_json=as_json)


def down(
    *,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete its data as well.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Stop the stack that runs in the data folder; its data stays."""
    progress, data = Progress(), DataFolder(data_path(os.environ))
    confirm(f"Delete everything that the stack stored in {data.path}?", yes=yes or not wipe)
    with errors_told(progress):
        from deploy.local.running import stop_running

        progress.doing("stopping …")
        stopped = stop_running(data)
        progress.idle()
        progress.say("stopped" if stopped else f"no stack runs in {data.path}")
        if wipe:
            data.wipe()
            progress.say(f"deleted what was stored in {data.path}")
    if as_json:
        print_json({"stopped": stopped, "wiped": wipe, "data_folder": str(data.path)})


def status(
    *,
    as_json: AsJson = False,
    as_environment: Annotated[bool, typer.Option("--env", help="Print lines that a shell can `eval`.")] = False,
) -> None:
    """Show what runs in the data folder, how it does and how much it holds.

    Exits 0 when it is ready, 3 when not.
    """
    from deploy.local.glance import Glance

    data = DataFolder(data_path(os.environ))
    holder, state = data.lock_holder(), data.read_state()
    running = holder is not None and state.get("supervisor") == holder
    ready = running and bool(state.get("ready"))
    if as_json:
        shown = {"running": running, "ready": ready, "data_folder": str(data.path)}
        processes = {process["name"]: process for process in state.get("processes", ())} if running else {}
        connection = state["connection"] if ready else None
        glance = None if connection is None else Glance(connection).look()
        shown |= {"processes": processes, "connection": connection, "glance": glance}
        sys.stdout.write(json.dumps(shown) + "\n")
    elif as_environment and ready:
        _print_environment(state["connection"])
    elif not running:
        Progress().say(f"no stack runs in {data.path}; `firstvalue up` starts one")
    else:
        _print_status(data, state, ready=ready)
    if not ready:
        raise typer.Exit(_UNREACHABLE)


def register(application: typer.Typer) -> None:
    """Adds the three commands to an application."""
    for command in (up, down, status):
        application.command(rich_help_panel=START_PANEL)(command)


def _run_in_foreground(data: DataFolder, extras: Collection["Extra"], *, as_json: bool, progress: Progress) -> None:
    from deploy.local.supervisor import stop_on_signals
    from deploy.local.whole import whole_stack

    stopping = stop_on_signals()
    with whole_stack(data, environment=os.environ, extras=extras, progress=progress, stopping=stopping) as stack:
        _announce(stack.connection, as_json=as_json)
        progress.say("Ctrl-C stops everything; the data stays")
        stack.watch()
        progress.doing("stopping …")
    progress.idle()
    progress.say("stopped")


def _announce(connection: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(connection) + "\n")
        sys.stdout.flush()
    else:
        _print_addresses(connection)


def _print_addresses(connection: dict[str, Any]) -> None:
    _print_columns(
        [(name, value["url"] if isinstance(value, dict) else str(value)) for name, value in connection.items()]
    )


def _print_status(data: DataFolder, state: dict[str, Any], *, ready: bool) -> None:
    typer.echo(f"{'ready' if ready else 'starting'} in {data.path}, supervised by process {state['supervisor']}")
    rows = [("process", "id", "restarts", "log")]
    for process in state["processes"]:
        process_id = "waiting to start again" if process["waiting"] else str(process["pid"])
        rows.append((process["name"], process_id, str(process["restarts"]), process["log"]))
    _print_columns(rows)
    if ready:
        from deploy.local.glance import Glance, lines_of

        _print_addresses(state["connection"])
        typer.echo("\nprobes and metrics, without authentication:")
        named = {name: value for name, value in state["connection"].items() if isinstance(value, dict)}
        _print_columns([(name, value["metrics"]) for name, value in named.items() if "metrics" in value])
        typer.echo("")
        _print_columns(lines_of(Glance(state["connection"]).look()))


def _print_environment(connection: dict[str, Any]) -> None:
    """Under the names that the services and the other commands read."""
    for service in ("ingest", "engine", "notifier"):
        typer.echo(f"export FIRSTVALUE_{service.upper()}_URL={shlex.quote(connection[service]['url'])}")
    typer.echo(f"export FIRSTVALUE_ADMIN_KEY={shlex.quote(connection['admin_key'])}")


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Never cut nor wrapped, as people copy from it and scripts read it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def errors_told(progress: Progress) -> Iterator[None]:
    """Turns what went wrong with the stack into the command's own errors."""
    try:
        yield
    except StopRequested:
        progress.say("stopped before it was ready")
        raise typer.Exit(_INTERRUPTED) from None
    except StackError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        if error.filename is None:
            raise
        where = "FIRSTVALUE_DATA_DIR names the folder where the stack lives"
        raise Refused(f"{error.filename}: {error.strerror}; {where}") from error
    except ModuleNotFoundError as error:
        raise Refused(f"the local stack is not installed ({error.name} is missing): run `make setup`") from error
    finally:
        progress.idle()
