"""Every `firstvalue` command that a document shows exists, with the options that are shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from services.cli.__main__ import new_command

_ROOT = Path(__file__).parents[2]
_PAGES = sorted([*_ROOT.glob("*.md"), *_ROOT.glob("docs/*.md"), *_ROOT.glob("deploy/runbooks/*.md")])
_SHOWN = re.compile(r"^\$ (firstvalue .*)$", re.MULTILINE)
_GROUP: Any = typer.main.get_command(new_command())


def _commands() -> Iterator[Any]:
    for page in _PAGES:
        for line in _SHOWN.findall(page.read_text(encoding="utf-8")):
            yield pytest.param(line, id=f"{page.stem}: {line[:60]}")


def _parse(line: str) -> None:
    """Raises what the command line would tell its user; runs nothing."""
    words = shlex.split(line.partition(" | ")[0], comments=True)[1:]
    command, context = _GROUP, _GROUP.context_class(_GROUP, info_name="firstvalue")
    while isinstance(command, TyperGroup):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        if isinstance(found, TyperGroup):
            context = found.context_class(found, info_name=name, parent=context)
        else:
            found.make_context(name, list(words), parent=context)
        command = found


@pytest.mark.parametrize("line", list(_commands()))
def test_a_command_that_is_shown_parses(line: str) -> None:
    """Its verb, arguments and options are taken."""
    _parse(line)


@pytest.mark.parametrize("line", ["firstvalue ops jump 0", "firstvalue ops audit --wet", "firstvalue key revoke"])
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    """Else the test above would say nothing."""
    with pytest.raises(Exception, match=r"No such|Missing"):
        _parse(line)
