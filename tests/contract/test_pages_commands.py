"""Every command that README and docs show is one that the command line knows, with flags that it has."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer import core

from services.cli.__main__ import main, new_command
from services.runtime.metrics import VERSION

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy" / "runbooks").glob("*.md")),
]
# In code between backticks, or at the start of a line of a console, maybe behind a prompt.
SHOWN = re.compile(r"`firstvalue ([^`\n]+)`|^(?:\$ )?firstvalue ([^\n]+)$|\$\(firstvalue ([^)\n]+)\)", re.MULTILINE)
# What stands for something else, or begins another command.
STOPS = {"…", "...", "|", "||", "&&", ";", "<", ">", "#", "&", "\\"}


def shown(page: Path) -> Iterator[str]:
    """The commands of a page."""
    for match in SHOWN.finditer(page.read_text(encoding="utf-8")):
        yield next(filter(None, match.groups()))


def words(line: str) -> tuple[list[str], bool]:
    """The words up to the first that stands for something else; whether they are all."""
    found: list[str] = []
    for word in shlex.split(line.replace("'…", "…"), comments=True):
        if word in STOPS or word.startswith(("…", "<", "[", "{", ">")):
            return found, False
        found.append(word)
    return found, True


@functools.cache
def command_line() -> Any:
    """All verbs."""
    return typer.main.get_command(new_command())


def wrong(line: str) -> str | None:
    """What the command line finds wrong with a verb or a flag of `line`; values are not judged."""
    left, _ = words(line)
    command: Any = command_line()
    context: Any = command.make_context("firstvalue", [], resilient_parsing=True)
    while isinstance(command, core.TyperGroup) and left:
        if left[0].startswith("-"):
            return (
                None if any(left[0] in parameter.opts for parameter in command.params) or left[0] in _HELP else left[0]
            )
        below = command.get_command(context, left[0])
        if below is None:
            return f"no verb {left[0]!r}"
        command, left = below, left[1:]
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    flags = [word.partition("=")[0] for word in left if re.match(r"--?[a-z]", word)]
    return next((f"no flag {flag}" for flag in flags if flag not in known | _HELP), None)


_HELP = {"-h", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_exists(page: Path) -> None:
    """A flag or a verb that was renamed is found on every page that shows it."""
    found = {line: told for line in shown(page) if (told := wrong(line)) is not None}
    assert not found, f"{page.name}: {found}"


def test_wrong_ones_would_be_found() -> None:
    """The test itself looks."""
    assert wrong("account explane acme") == "no verb 'explane'"
    assert wrong("plan list --jsn") == "no flag --jsn"
    assert wrong("plan list --json") is None


def test_the_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard output, alone."""
    monkeypatch.setattr("sys.argv", ["firstvalue", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out == f"firstvalue {VERSION}\n"
