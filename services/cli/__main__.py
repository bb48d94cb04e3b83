"""The `firstvalue` command: every verb, and what its failures mean to a shell."""

from __future__ import annotations

import os
import re
import sys
from io import StringIO
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from deploy.demo import commands as demo
from deploy.local import commands as local_stack
from services.cli.commands import services
from services.cli.commands.doctor import doctor
from services.cli.examples import in_order
from services.cli.nouns import NOUNS, add_nouns, finish_help
from services.cli.output import Failure, Misused, Refused, asked_for_json, tell
from services.runtime import VERSION

# What libraries say, and what is said in its place.
_LIBRARY = {
    "^Value error, ": "",
    "^Input should be ": "must be ",
    ", (unable to parse|input is) .*": "",
    " does not match the formats? .*": " is not a date; write one like 2026-11-20 or 2026-11-20T10:00:00Z",
}


class _Command(TyperGroup):
    """Says what is wrong with an argument without the words of the library that found it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return in_order(super().list_commands(ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _without_library(error.message)
            raise


def new_command() -> typer.Typer:
    """The command with all its verbs; those of a noun are imported once it is asked for."""
    app = typer.Typer(
        cls=_Command,
        name="firstvalue",
        help="See which customers have reached first value and which have stalled on the way.",
        epilog="Begin with `firstvalue up`; README.md has a tour. `firstvalue doctor` finds what is wrong.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    add_nouns(app)
    app.command(rich_help_panel=local_stack.START_PANEL)(doctor)
    local_stack.register(app)
    demo.register(app)
    for job in (services.serve, services.migrate, services.topics, services.reencrypt):
        app.command(rich_help_panel="Operate")(job)
    return app


def _show_version(*, asked: bool) -> None:
    if asked:
        print(f"firstvalue {VERSION}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda asked: _show_version(asked=asked), help="Show the version."
        ),
    ] = False,
) -> None:
    """See which customers have reached first value and which have stalled on the way."""


def main() -> None:
    """Run the command line; exits 0 (done), 1 (refused), 2 (used wrongly) or 3 (nobody answers)."""
    # Where a shell has closed them.
    sys.stdout, sys.stderr = sys.stdout or StringIO(), sys.stderr or StringIO()
    command: Any = get_command(new_command())
    finish_help({name: verb for name, verb in command.commands.items() if name not in NOUNS})
    try:
        # A program is told of its mistakes by an object too, so that typer may not tell them itself.
        sys.exit(command(prog_name="firstvalue", standalone_mode=not asked_for_json()))
    except TyperException as error:
        failure: Failure = Misused(_in_words(error))
    except typer.Abort:
        failure = Refused("Nothing was done: the question was not answered with yes.")
    except Failure as error:
        failure = error
    except OSError as error:
        # Of a file, or of standard output on a full disk.
        failure = Refused(": ".join(filter(None, (error.filename, error.strerror or str(error)))))
    finally:
        _end_output()
    tell(failure)
    sys.exit(failure.exit_status)


def _without_library(message: str) -> str:
    for pattern, words in _LIBRARY.items():
        message = re.sub(pattern, words, message, flags=re.DOTALL)
    return message


def _in_words(error: TyperException) -> str:
    """What is wrong, and where --json belongs when it was given before the verb."""
    if getattr(error, "option_name", None) == "--json":
        return "No such option here: --json. Write it behind a verb that has an answer: firstvalue account list --json"
    return error.format_message()


def _end_output() -> None:
    """Write what is left; a reader that has gone, such as `head`, or a full disk is not told of again."""
    if sys.__stdout__ is None:
        return
    try:
        sys.__stdout__.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


if __name__ == "__main__":
    main()
