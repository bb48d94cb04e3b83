"""The help of every command: an example that the command takes, JSON for programs, completion for shells."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from services.cli.__main__ import main, new_command
from services.cli.examples import EXAMPLES

# Those that run until they are stopped and have no answer: a service, which logs JSON, and a show for people.
WITHOUT_JSON = {"serve", "demo"}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every verb by its words."""
    inner = getattr(command, "commands", {})
    for name, one in inner.items():
        yield from commands(one, (*path, name))
    if not inner:
        yield " ".join(path), command


COMMANDS = dict(commands(get_command(new_command())))


def test_every_command_has_an_example() -> None:
    """Of itself, under its own help."""
    assert set(EXAMPLES) == set(COMMANDS), "write an example of the command into services/cli/examples.py"
    for path, lines in EXAMPLES.items():
        assert all(f"firstvalue {path}" in line for line in lines)


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_a_command_takes_its_examples(path: str) -> None:
    """As they stand, without being run."""
    for line in EXAMPLES[path]:
        words = shlex.split(line.removeprefix('eval "$(').removesuffix(')"'))
        COMMANDS[path].make_context(path, words[1 + len(path.split()) :])


def listed(command: Any) -> list[str]:
    """The words below a command, as its help lists them."""
    names: list[str] = command.list_commands(None)
    return names


def test_help_lists_first_what_a_newcomer_needs_first() -> None:
    """Whatever module each is in."""
    everything: Any = get_command(new_command())
    assert listed(everything)[:7] == ["demo", "up", "status", "doctor", "down", "event", "account"]
    assert listed(everything.commands["endpoint"])[0] == "add"
    assert listed(everything.commands["plan"])[:4] == ["new", "check", "test", "publish"]


def test_every_command_can_print_json() -> None:
    """Those that end with an answer."""
    without = {path for path, one in COMMANDS.items() if not any("--json" in option.opts for option in one.params)}
    assert without == WITHOUT_JSON


@pytest.mark.parametrize("width", ["60", "80"])
def test_help_ends_with_its_example(
    width: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within the width of the terminal."""
    monkeypatch.setattr(sys, "argv", ["firstvalue", "event", "send", "--help"])
    monkeypatch.setenv("COLUMNS", width)
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().out
    assert not ended.value.code
    assert "firstvalue event send --file" in " ".join(printed.split())
    assert all(option in printed for option in ("--ingest-url", "--property"))
    assert max(map(len, printed.splitlines())) <= int(width)


def test_help_waits_for_nothing_that_it_does_not_need() -> None:
    """Verbs of nouns, and what talks to services, databases and brokers, are imported by those who use them."""
    script = (
        "import sys; from typer.main import get_command; from services.cli.__main__ import new_command\n"
        "assert 'account' in get_command(new_command()).commands; print(*sys.modules)"
    )
    words = (sys.executable, "-c", script)
    imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    heavy = {"aiokafka", "alembic", "asyncio", "httpx", "msgspec", "pydantic", "rich.console", "sqlalchemy"}
    assert not heavy.intersection(imported)
    assert "services.cli.commands.accounts" not in imported


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_it(shell: str) -> None:
    """By the script that the command itself gives."""
    words = (sys.executable, "-m", "services.cli")
    given = os.environ | {"_FIRSTVALUE_COMPLETE": f"source_{shell}"}
    script = subprocess.run(words, env=given, capture_output=True, text=True, check=False)
    assert (script.returncode, "firstvalue" in script.stdout) == (0, True)


def test_completion_knows_the_verbs() -> None:
    """Those below the noun that is written."""
    words = (sys.executable, "-m", "services.cli")
    given = os.environ | {
        "_FIRSTVALUE_COMPLETE": "complete_bash",
        "COMP_WORDS": "firstvalue event ",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["send", "tail", "names"]
