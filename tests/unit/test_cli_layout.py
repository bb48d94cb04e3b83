"""Tables and sentences at the width of a terminal: folded, never cut off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from services.activation_engine.api import examples, insight_examples
from services.cli import insight_tables, output
from services.cli.account_views import show_account, show_explanation
from services.cli.commands.deliveries import show_delivery
from services.cli.layout import prose_lines, table_lines
from services.cli.signal_lines import line_of
from services.notifier.api.documents import DeliveryWithLog

TITLES = ("account", "name", "", "since")
ROWS = [["acme", "Müller & 客户 GmbH", "████", "2026-11-20T10:00:00Z"], ["b", "-", "█", "-"]]


def drawn(width: int | None) -> list[str]:
    return [line.text for line in table_lines(TITLES, ROWS, width=width)]


def test_a_table_that_fits_is_left_alone() -> None:
    """And so is every table that goes into a pipe, whatever its width."""
    whole = [
        "account  name                      since",
        "acme     Müller & 客户 GmbH  ████  2026-11-20T10:00:00Z",
        "b        -                   █     -",
    ]
    assert drawn(None) == whole
    assert drawn(max(map(cell_len, whole))) == whole


def test_cells_are_folded_at_spaces_and_times_after_their_date() -> None:
    """Wide characters count twice; the longest cells give way first."""
    assert drawn(43) == [
        "account  name                    since",
        "acme     Müller & 客户     ████  2026-11-20",
        "         GmbH                    10:00:00Z",
        "b        -                 █     -",
    ]


def test_what_has_no_title_gives_way_before_the_table_does() -> None:
    """Bars are decoration."""
    assert drawn(30) == [
        "account  name       since",
        "acme     Müller &   2026-11-20",
        "         客户 GmbH  10:00:00Z",
        "b        -          -",
    ]


def test_so_does_what_tells_nothing() -> None:
    """Columns without a value."""
    rows = [["acme", "-", "smb"], ["b", "-", "-"]]
    lines = table_lines(("account", "first_value_at", "plan"), rows, width=20)
    assert [line.text for line in lines] == ["account  plan", "acme     smb", "b        -"]


def test_a_terminal_too_narrow_for_the_words_gets_blocks() -> None:
    """A row by its first cell, the others by their titles; what is none is left out."""
    assert drawn(26) == [
        "account acme",
        "  name: Müller & 客户 GmbH",
        "  since: 2026-11-20",
        "    10:00:00Z",
        "account b",
    ]


def test_numbers_stand_below_each_other() -> None:
    """Also where some are missing; the first column names the row, whatever it is."""
    rows = [["7", "9120", "4.2", "87%", "a"], ["12", "31", "-", "5%", "7"]]
    assert [line.text for line in table_lines(("id", "count", "days", "share", "by"), rows, width=None)] == [
        "id  count  days  share  by",
        "7    9120   4.2    87%  a",
        "12     31     -     5%  7",
    ]


WORDS = st.text(st.sampled_from("ab客 -█"), max_size=24)


@given(
    table=st.integers(1, 5).flatmap(lambda columns: st.lists(st.lists(WORDS, min_size=columns, max_size=columns))),
    width=st.integers(1, 60),
)
def test_nothing_is_ever_cut_off(table: list[list[str]], width: int) -> None:
    """Every word is there, whole, and no line is longer than the terminal unless it is one word."""
    columns = len(table[0]) if table else 1
    lines = [line.text for line in table_lines([f"t{one}" for one in range(columns)], table, width=width)]
    printed = {word for line in lines for word in line.split()}
    assert {word for row in table for cell in row for word in cell.split()} - {"-"} <= printed
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in lines)


def test_sentences_are_folded_under_their_beginning() -> None:
    """What is copied, such as an address, stays whole; lines that fit stay as they are."""
    text = "short\n  A sentence of some words at https://hooks.example.com/firstvalue\nlast   line"
    assert list(prose_lines(text, width=26)) == [
        "short",
        "  A sentence of some",
        "    words at",
        "    https://hooks.example.com/firstvalue",
        "last   line",
    ]
    assert list(prose_lines(text, width=None)) == text.split("\n")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of 60 characters."""
    monkeypatch.setattr(output, "_width", lambda _: 60)
    return 60


@pytest.mark.parametrize("name", ["STATUS", "FUNNEL", "TTFV", "ADOPTION", "OBSTACLES", "OWNERS", "SURPRISES"])
def test_insights_fit_a_narrow_terminal(name: str, narrow: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The examples of the API, with every number."""
    answer: dict[str, Any] = getattr(insight_examples, name)
    getattr(insight_tables, f"show_{name.lower()}")(answer)
    printed = capsys.readouterr().out
    assert max(map(cell_len, printed.splitlines())) <= narrow
    assert "…" not in printed


def test_an_account_fits_a_narrow_terminal(narrow: int, capsys: pytest.CaptureFixture[str]) -> None:
    """With what a person said of it, and times that are only known to within a day told as such."""
    show_account(examples.ACCOUNT)
    printed = capsys.readouterr().out
    assert max(map(cell_len, printed.splitlines())) <= narrow
    assert printed.startswith("acme, last active about 2026-11-16\ndiagnosed as execution, action help")
    assert "about 2026-11-16" in printed
    assert "risk single_threaded (Single threaded) open since" in printed


def test_every_plan_is_explained_by_a_block(narrow: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, how far each milestone is, and what is snoozed, once."""
    explanation: dict[str, Any] = dict(examples.EXPLANATION)
    (one,) = explanation["plans"]
    show_explanation({**explanation, "plans": [one, {**one, "text": "Acme is on track under fast."}]})
    printed = capsys.readouterr().out
    assert max(map(cell_len, printed.splitlines())) <= narrow
    first, second, active, snoozes = printed.split("\n\n")
    assert first.startswith("Acme is at risk under b2b-saas (version 3)")
    assert "first_output" in first
    assert "0 of 1" in first
    assert second.startswith("Acme is on track under fast.")
    assert active == "last active about 2026-11-16, beginning with Data Imported"
    assert snoozes == "escalated is snoozed until 2026-12-01T00:00:00Z\n"


def test_a_delivery_tells_how_long_each_phase_took(narrow: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of every attempt; with what the receiver answered."""
    schema: Any = DeliveryWithLog.model_config["json_schema_extra"]
    show_delivery(schema["example"])
    printed = capsys.readouterr().out
    assert max(map(cell_len, printed.splitlines())) <= narrow
    assert "resolve ms: 4 connect ms: 11 wait ms: 22" in " ".join(printed.split())


def test_a_signal_names_its_plan() -> None:
    """There may be several; the end of an account is of none."""
    signal = examples.SIGNAL
    assert f"  {signal['account']['id']}  {signal['plan']['id']}  " in line_of(signal)
    assert line_of({**signal, "plan": None, "origin": "catch_up"}).endswith("[catch_up]")


def test_a_milestone_that_the_plan_of_now_does_not_find_is_marked() -> None:
    """Where it was told as reached, not where it was missed."""
    reached = {**examples.SIGNAL, "type": "account.milestone_reached", "milestone": {"id": "first_output"}}
    superseded = [{"plan": reached["plan"]["id"], "milestone": "first_output"}]
    assert line_of(reached, superseded=superseded).endswith("  [superseded]")
    assert "superseded" not in line_of(reached)
    assert "superseded" not in line_of({**reached, "type": "account.stalled"}, superseded=superseded)
