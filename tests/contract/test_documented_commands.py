"""Every `firstvalue` command that a page shows exists: a line of a console as it stands, one in a sentence by its verbs
and flags."""

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

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/runbooks/*.md")])
CONSOLE = re.compile(r"^\$ firstvalue (.*)$", re.MULTILINE)
SENTENCE = re.compile(r"`firstvalue ([^`\n]+)`|^firstvalue ([^\n]+)$|\$\(firstvalue ([^)\n]+)\)", re.MULTILINE)
# What stands for something else, or begins another command.
STOPS = {"…", "...", "|", "||", "&&", ";", "<", ">", "#", "&", "\\"}
COMMAND: Any = typer.main.get_command(new_command())


def shown(page: Path) -> Iterator[tuple[str, bool]]:
    """The commands of a page, and whether all of each is there."""
    text = page.read_text(encoding="utf-8")
    yield from ((line, True) for line in CONSOLE.findall(text))
    yield from ((next(filter(None, groups)), False) for groups in SENTENCE.findall(text))


def words_of(line: str) -> list[str]:
    """The words up to the first that stands for something else."""
    found: list[str] = []
    for word in shlex.split(line.replace("'…", "…"), comments=True):
        if word in STOPS or word.startswith(("…", "<", "[", "{", ">")):
            break
        found.append(word)
    return found


def wrong(line: str, *, whole: bool) -> str | None:
    """What the command line finds wrong with a verb, a flag or, of a whole line, anything; nothing is run."""
    words, command = words_of(line), COMMAND
    context = command.make_context("firstvalue", [], resilient_parsing=True)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name, *words = words
        command = command.get_command(context, name)
        if command is None:
            return f"no verb {name}"
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    known = {flag for one in command.get_params(context) for flag in (*one.opts, *one.secondary_opts)} | {"-h"}
    flags = (word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word))
    unknown = next((f"no flag {flag}" for flag in flags if flag not in known), None)
    if unknown is None and whole and not isinstance(command, TyperGroup):
        try:
            command.make_context(command.name, words, parent=context.parent)
        except typer.BadParameter as error:
            return error.format_message()
        except typer.Exit:
            return None
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_exists(page: Path) -> None:
    """A flag or a verb that was renamed is found on every page that shows it."""
    found = {line: told for line, whole in shown(page) if (told := wrong(line, whole=whole)) is not None}
    assert not found, f"{page.name}: {found}"


@pytest.mark.parametrize(
    ("line", "whole", "told"),
    [
        ("account explane acme", False, "no verb explane"),
        ("plan list --jsn", False, "no flag --jsn"),
        ("key revoke", True, "Missing"),
        ("key revoke", False, None),
        ("ops resume 2 --from latest", True, None),
        ("account list --limit none", True, "--limit"),
    ],
)
def test_wrong_ones_would_be_found(line: str, whole: bool, told: str | None) -> None:
    """The test itself looks."""
    found = wrong(line, whole=whole)
    assert found is None if told is None else told in (found or "")
