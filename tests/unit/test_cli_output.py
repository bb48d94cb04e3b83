"""What the `firstvalue` command prints, whatever strangers wrote into names and answers."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from services.cli.commands.accounts import TITLES, YIELDING
from services.cli.narrowing import narrowed
from services.cli.output import print_json, print_json_line, print_table, say


def test_nothing_printed_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are spelled out; text of any script stays as it is."""
    print_table(("name", "answer"), [["Žlutý 客户", "\x1b[31mred\nline\x9b"]], empty="none")
    say("first \x1b]0;title\x07\nsecond")
    assert capsys.readouterr().out.splitlines() == [
        "name        answer",
        r"Žlutý 客户  \x1b[31mred line\x9b",
        r"first \x1b]0;title\x07",
        "second",
    ]


def test_json_printed_does_not_command_the_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    """And is still the same document."""
    told = {"name": "Žlutý\x9b31m", "answer": "\x1b[31m\x7f"}
    print_json(told)
    print_json_line(told)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x7f", "\x9b"} & set(printed)
    assert [json.loads(line) for line in printed.splitlines()] == [told, told]


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error: a script that counts lines counts none."""
    print_table(("name", "answer"), [], empty="no accounts")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no accounts\n")


def test_a_narrow_terminal_shows_less_of_the_least_useful() -> None:
    """In the order that is given, no more than it takes; times become dates, wide characters count twice."""
    titles = ("account", "name", "since")
    rows = [["a-7f0c2e", "Müller & 客户 GmbH", "2026-11-20T10:00:00Z"], ["b", "-", "-"]]
    yielding = (("name", 10), ("since", 10), ("name", 0))
    assert narrowed(titles, rows, width=50, yielding=yielding) == (list(titles), rows, [])
    fitting = narrowed(titles, rows, width=49, yielding=yielding)
    assert fitting == (list(titles), [["a-7f0c2e", "Müller &…", "2026-11-20T10:00:00Z"], rows[1]], [])
    dates = narrowed(titles, rows, width=37, yielding=yielding)[1]
    assert dates == [["a-7f0c2e", "Müller &…", "2026-11-20"], rows[1]]
    assert narrowed(titles, rows, width=21, yielding=yielding) == (
        ["account", "since"],
        [["a-7f0c2e", "2026-11-20"], ["b", "-"]],
        ["name"],
    )


@pytest.mark.parametrize("width", [80, 100])
def test_accounts_fit_a_terminal(width: int) -> None:
    """With ids as long as a UUID, whole."""
    account = str(UUID(int=2**127))
    long = {"name": "Consolidated Widgets Ltd", "reason": "milestone_overdue", "status": "not_started"}
    plain = {"account": account, "plan": "b2b-saas", "completed": "100%"}
    row = [(plain | long).get(title, "2026-11-20T10:00:00Z") for title in TITLES]
    shown, (line,), _ = narrowed(TITLES, [row], width=width, yielding=YIELDING)
    assert line[0] == account
    assert sum(map(max, zip(map(len, shown), map(len, line), strict=True))) + 2 * (len(shown) - 1) <= width
