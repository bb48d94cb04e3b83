"""What the `firstvalue` command prints, whatever strangers wrote into names and answers."""

from __future__ import annotations

import pytest

from services.cli.output import print_table, say


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


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error: a script that counts lines counts none."""
    print_table(("name", "answer"), [], empty="no accounts")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no accounts\n")
