"""What the command prints and how it ends: text for people, JSON for programs, exit statuses for scripts."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

REFUSED, USAGE, UNREACHABLE = 1, 2, 3

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]


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
