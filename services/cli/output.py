"""What the command prints and how it ends: text for people, JSON for programs, exit statuses for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]

ROWS_DEFAULT = 100
Rows = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Rows at most.")]
# Nobody reads a table in a pipe by its columns, but nothing may be cut off there.
_PIPE_CHARACTERS = 1_000


class Refused(Exception):
    """The request was understood and refused; the message says what to do. Exit status 1."""

    def __init__(self, message: str, *, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class Unreachable(Exception):
    """Nothing answers where something should; the message says where. Exit status 3."""


class Misused(Exception):
    """The command cannot be run like this; the message says what is missing. Exit status 2."""


def say(text: str) -> None:
    """One line on standard output."""
    print(text)


def complain(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr)


def print_json(value: object) -> None:
    """`value` on standard output, indented on a terminal and on one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, ensure_ascii=False, indent=indent), flush=True)


def print_json_line(value: object) -> None:
    """`value` on one line, for streams."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Rows under titles; colour only on a terminal."""
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=_PIPE_CHARACTERS, highlight=False)
    console.print(table)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `yes`; without a terminal to answer on, raises Misused."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misused(f"{question} Say so with --yes.")
    typer.confirm(question, abort=True, err=True)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
