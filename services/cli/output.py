"""What the command prints and how it ends: text for people, JSON for programs, exit statuses for scripts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.narrowing import narrowed

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]

ROWS_DEFAULT = 100
Rows = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Rows at most.")]
# Nobody reads a table in a pipe by its columns, but nothing may be cut off there.
_PIPE_CHARACTERS = 1_000
# Names and answers come from strangers and may not command the operator's terminal.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f]")


class Failed(Exception):
    """A request failed; `retry_after_seconds` is what the service asks to wait before the same may succeed."""

    retry_after_seconds: float | None = None


class Refused(Failed):
    """The request was understood and refused; the message says what to do. Exit status 1."""

    def __init__(self, message: str, *, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = problem

    @property
    def code(self) -> str | None:
        """The service's code for it, if a service refused."""
        return (self.problem or {}).get("code")


class Unreachable(Failed):
    """Nothing answers where something should; the message says where. Exit status 3."""


class Misused(Exception):
    """The command cannot be run like this; the message says what is missing. Exit status 2."""


def say(text: str) -> None:
    """Text on standard output, at once: what reads a pipe may be waiting for this line."""
    print(_printable(text), flush=True)


def say_marked(mark: str, text: str, *, colour: str) -> None:
    """The same, begun by `mark`, which has a colour on a terminal whose owner wants colours."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print((typer.style(mark, fg=colour) if coloured else mark) + _printable(text), flush=True)


def complain(text: str) -> None:
    """Text on standard error."""
    print(_printable(text), file=sys.stderr)


def print_json(value: object) -> None:
    """`value` on standard output, indented on a terminal and on one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print(_json(value, indent=indent), flush=True)


def print_json_line(value: object) -> None:
    """`value` on one line, for streams."""
    print(_json(value), flush=True)


def print_table(
    titles: Sequence[str], rows: Iterable[Iterable[object]], *, empty: str, yielding: Sequence[tuple[str, int]] = ()
) -> None:
    """Rows under titles, or `empty` on standard error when there are none; colour only on a terminal, and only there do
    the columns in `yielding` give way, as narrowing.narrowed says."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        complain(empty)
    elif sys.stdout.isatty():
        console = Console(highlight=False)
        shown, lines, hidden = narrowed(titles, cells, width=console.width, yielding=yielding)
        console.print(_table(shown, lines))
        if hidden:
            complain(f"too narrow for {', '.join(hidden)}: a wider terminal, or --json, shows them")
    else:
        console = Console(width=_PIPE_CHARACTERS, highlight=False)
        with console.capture() as printed:
            console.print(_table(titles, cells))
        print("\n".join(line.rstrip(" ") for line in printed.get().rstrip("\n").split("\n")), flush=True)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `yes`; without a terminal to answer on, raises Misused."""
    if yes:
        return
    if not can_ask():
        raise Misused(f"{question} Say so with --yes.")
    typer.confirm(question, abort=True, err=True)


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def _json(value: object, *, indent: int | None = None) -> str:
    """JSON spells out those below 32 by itself; the others a terminal would obey as well."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _cell(value: object) -> str:
    return _printable(_shown(value).replace("\n", " "))


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
