"""What the command prints and how it ends: text for people, JSON for programs, exit statuses for scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TextIO

import typer

from services.cli.layout import NONE, prose_lines, table_lines

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

ROWS_DEFAULT = 100
Rows = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Rows at most.")]
# Names and answers come from strangers and may not command the operator's terminal.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_FRACTION = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d+Z")
_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f]")


class Failure(Exception):
    """The command did not do what was asked; the message says what to do. `problem` is the service's own answer."""

    exit_status: ClassVar[int]
    code: str

    def __init__(self, message: str, *, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.problem = problem or {}
        self.code = self.problem.get("code", self.code)

    def __str__(self) -> str:
        """The message, and what the service's log knows the request by."""
        known = f" ({self.code}, reference {self.problem['request_id']})" if self.problem else ""
        return f"{self.message}{known}"


class Failed(Failure):
    """A request failed; `retry_after_seconds` is what the service asks to wait before the same may succeed."""

    retry_after_seconds: float | None = None


class Refused(Failed):
    """The request was understood and refused. Exit status 1."""

    exit_status, code = REFUSED, "refused"


class Unreachable(Failed):
    """Nothing answers where something should; the message says where. Exit status 3."""

    exit_status, code = UNREACHABLE, "unreachable"


class Hung(Unreachable):
    """Something takes connections and answers nothing in time."""


class Misused(Failure):
    """The command cannot be run like this; the message says what is missing. Exit status 2."""

    exit_status, code = USAGE, "usage"


def asked_for_json() -> bool:
    """Whether a program reads what is printed, also where the rest of the command line could not be understood."""
    return "--json" in sys.argv


def tell(failure: Failure) -> None:
    """A failure on standard error: its sentence, or for a program one object as HTTP answers it."""
    if asked_for_json():
        print(_json({**failure.problem, "code": failure.code, "message": failure.message}), file=sys.stderr)
    else:
        complain(str(failure))


def say(text: str) -> None:
    """Sentences on standard output, folded on a terminal, at once: what reads a pipe may be waiting for this line."""
    print("\n".join(prose_lines(_printable(text), width=_width(sys.stdout))), flush=True)


def say_as_it_is(text: str) -> None:
    """The same for what is copied or read by a program: never folded."""
    print(text, flush=True)


def say_marked(mark: str, text: str, *, colour: str) -> None:
    """As `say`, begun by `mark`, which has a colour on a terminal whose owner wants colours."""
    width = _width(sys.stdout)
    room = None if width is None else width - len(mark)
    first, *others = prose_lines(_printable(text), width=room)
    print("\n".join([_styled(mark, fg=colour) + first, *(" " * len(mark) + line for line in others)]), flush=True)


def complain(text: str) -> None:
    """What people should know on standard error; programs get it as an object with `warning`."""
    if asked_for_json():
        print(_json({"warning": text}), file=sys.stderr)
    else:
        print("\n".join(prose_lines(_printable(text), width=_width(sys.stderr))), file=sys.stderr)


def print_json(value: object) -> None:
    """`value` on standard output, indented on a terminal and on one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print(_json(value, indent=indent), flush=True)


def print_json_line(value: object) -> None:
    """`value` on one line, for streams."""
    print(_json(value), flush=True)


def print_table(titles: Sequence[str], rows: Iterable[Iterable[object]], *, empty: str) -> None:
    """Rows under titles as layout.table_lines has them, as wide as it takes when this is no terminal; `empty` on
    standard error when there are none."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        complain(empty)
        return
    for text, strong in table_lines(titles, cells, width=_width(sys.stdout)):
        print(_styled(text, bold=True) if strong else text)
    sys.stdout.flush()


def print_answer(answer: object, text: str, *, as_json: bool) -> None:
    """`answer` for a program, `text` for people."""
    print_json(answer) if as_json else say(text)


def print_fields(
    fields: Sequence[str], rows: Iterable[Mapping[str, object]], *, empty: str, as_json: bool = False
) -> None:
    """The same of rows that are objects, under the names of their fields; for a program all of them as they are."""
    if as_json:
        print_json([*rows])
        return
    titles = [field.replace("_", " ") for field in fields]
    print_table(titles, ([row.get(field) for field in fields] for row in rows), empty=empty)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`; `plural` for nouns that do not just take an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


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


def terminal_width(*, otherwise: int) -> int:
    """Of standard output, for what has to be folded before it is said."""
    return _width(sys.stdout) or otherwise


def _width(stream: TextIO) -> int | None:
    """The characters of a line on a terminal; a file or a pipe has no such limit."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _styled(text: str, **style: Any) -> str:
    return typer.style(text, **style) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def _printable(text: str) -> str:
    """For people: to the second, without what a terminal would obey."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", _FRACTION.sub("Z", text))


def _json(value: object, *, indent: int | None = None) -> str:
    """JSON spells out those below 32 by itself; the others a terminal would obey as well."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _cell(value: object) -> str:
    return _printable(_shown(value).replace("\n", " "))


def _shown(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_shown, value)) or NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
