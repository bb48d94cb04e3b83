"""The bar of long work is for people who watch it: on a terminal, never in a file, and not for what is done at once."""

from __future__ import annotations

import io
import sys

import pytest

from services.cli.progress import counting


class Terminal(io.StringIO):
    """Standard error of somebody who watches."""

    def isatty(self) -> bool:
        return True


def shown(stderr: io.StringIO, total: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What stands on standard error after work of `total` steps."""
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with counting("sending accounts", total=total) as advance:
        for _ in range(10):
            advance(total // 10)
    return stderr.getvalue()


def test_long_work_is_counted_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """To its end, under its name."""
    text = shown(Terminal(), 2_000, monkeypatch)
    assert "sending accounts" in text
    assert "2000/2000" in text


@pytest.mark.parametrize(("stderr", "total"), [(io.StringIO(), 2_000), (Terminal(), 500)], ids=["file", "short"])
def test_nothing_is_printed_elsewhere(stderr: io.StringIO, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs of scripts hold results."""
    assert shown(stderr, total, monkeypatch) == ""
