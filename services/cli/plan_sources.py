"""Plan files as the command gets them: from a path or standard input, loaded or refused with every error and line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from services.activation_engine.plans.errors import PlanErrors
from services.cli.files import read_file
from services.cli.output import REFUSED, Misused, Refused, complain, print_json

PlanPath = Annotated[str, typer.Argument(metavar="FILE", help="A plan file, or - for standard input.")]
Loaded = TypeVar("Loaded")
PLAN_HEADERS = {"content-type": "application/yaml"}


def read_text(file: str) -> str:
    """The file, or standard input for `-`. Raises Misused when it cannot be read, Refused when it is not UTF-8."""
    content = read_file(file)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(f"{file}:{line}: this is not UTF-8; save the file as UTF-8.") from error


def write_text(file: str, text: str, *, anew: bool = False) -> None:
    """Write a file; `anew` refuses to replace one. Raises Misused when it cannot be written."""
    try:
        with Path(file).open("x" if anew else "w", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise Misused(f"{file} is there already: name another file, or remove it.") from error
    except OSError as error:
        raise Misused(f"Cannot write {file}: {error.strerror}") from error


def loaded(load: Callable[[], Loaded], file: str, *, as_json: bool) -> Loaded:
    """What `load` gives; its findings are shown and end the command with status 1."""
    try:
        return load()
    except PlanErrors as refused:
        show_errors(refused.to_list(), file, as_json=as_json, more_follow=refused.more_follow)
        raise typer.Exit(REFUSED) from None


def show_errors(errors: Iterable[Mapping[str, Any]], file: str, *, as_json: bool, more_follow: bool = False) -> None:
    """Errors one below the other on standard error, or as JSON on standard output."""
    if as_json:
        print_json({"errors": list(errors), "more_follow": more_follow})
        return
    for error in errors:
        complain(finding_text(error, file))
    if more_follow:
        complain("Rules, names and dates are checked once these are right, so more may follow.")


def finding_text(error: Mapping[str, Any], file: str) -> str:
    """`plan.yaml:9:42: what is wrong`, and below it what to do."""
    hint = f"\n  {error['hint']}" if error.get("hint") else ""
    return f"{file}:{error['line']}:{error['column']}: {error['message']}{hint}"
