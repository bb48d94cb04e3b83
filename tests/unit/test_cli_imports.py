"""CSV files of accounts: how they are read, what their columns become, what is said about a bad row."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.imports.accounts import AccountImport, RowError
from services.cli.imports.columns import Kind, columns_of
from services.cli.imports.table import Broken, Row, Table, text_of
from services.cli.output import Misused
from services.cli.sending import Item

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
FILE_AT = datetime(2026, 11, 1, tzinfo=UTC)


def checked(content: bytes | str, *, unwaivable: frozenset[str] = frozenset(), **kinds: Kind) -> list[Item | RowError]:
    """What becomes of each row."""
    text = text_of(content.encode() if isinstance(content, str) else content, "f.csv", encoding=None)
    table = Table(text, "f.csv")
    columns = columns_of(
        table.header, [row.cells for row in table.rows() if isinstance(row, Row)], mapped={}, kinds=kinds
    )
    return list(AccountImport(table, columns, as_of=FILE_AT, now=NOW, unwaivable=unwaivable).checked())


def traits(content: bytes | str) -> list[dict[str, Any]]:
    """Those of each row, none of which is wrong."""
    return [one.value["traits"] for one in checked(content) if isinstance(one, Item)]


@pytest.mark.parametrize(
    "content",
    [
        b"account_id,name\nacme,M\xc3\xbcller\n",
        b"\xef\xbb\xbfaccount_id,name\r\nacme,M\xc3\xbcller",
        b'"account_id";"name"\r\n"acme";"M\xc3\xbcller"\r\n\r\n',
        "account_id\tname\nacme\tMüller\n".encode("utf-16"),
    ],
)
def test_what_spreadsheets_write(content: bytes) -> None:
    """With and without marks, quotes, semicolons, tabs, line ends."""
    (one,) = checked(content)
    assert isinstance(one, Item)
    assert (one.value["account_id"], one.value["traits"]) == ("acme", {"name": "Müller"})


def test_another_encoding_is_named_and_never_guessed() -> None:
    """A wrong guess would store wrong names for good."""
    content = "account_id,name\na,b\nacme,Müller\n".encode("cp1252")
    with pytest.raises(Misused, match=r"line 3: not UTF-8.*--encoding"):
        text_of(content, "f.csv", encoding=None)
    assert "Müller" in text_of(content, "f.csv", encoding="cp1252")
    with pytest.raises(Misused, match="no such encoding"):
        text_of(content, "f.csv", encoding="latin-99")


def test_types_are_guessed_by_column() -> None:
    """A column is numbers or booleans when all of it is; ids, leading zeros and long numbers stay text."""
    rows = (
        "account_id,seats,vip,zip,crm_id,mixed,big,empty,contract_start,reached.first_output\n"
        "1,12,TRUE,01234,77,1,1234567890123456789,,2026-11-01,2026-01-02\n"
        "2,-3.5,false,99999,78,x,1,,,\n"
    )
    assert traits(rows) == [
        {
            "seats": 12,
            "vip": True,
            "zip": "01234",
            "crm_id": "77",
            "mixed": "1",
            "big": "1234567890123456789",
            "contract_start": "2026-11-01",
            "reached.first_output": "2026-01-02",
        },
        {"seats": -3.5, "vip": False, "zip": "99999", "crm_id": "78", "mixed": "x", "big": "1"},
    ]


def test_columns_are_mapped_and_typed_by_hand() -> None:
    """Another name, none, another type."""
    columns = columns_of(
        ["Kundennr", "Sitze", "Notiz"],
        [["7", "12", "x"]],
        mapped={"Kundennr": "account_id", "Notiz": ""},
        kinds={"Sitze": Kind.TEXT},
    )
    assert [(one.trait, one.kind) for one in columns] == [("account_id", Kind.TEXT), ("Sitze", Kind.TEXT)]


@pytest.mark.parametrize(
    ("header", "mapped", "kinds", "told"),
    [
        (["accountid", "name"], {}, {}, "--map 'accountid=account_id'"),
        (["account_id", "a", "a"], {}, {}, "two columns a"),
        (["account_id", ""], {}, {}, "Column 2 has no name"),
        (["account_id", "a", "b"], {"b": "a"}, {}, "Two columns would set a"),
        (["account_id"], {"c": "d"}, {}, "no such column"),
        (["account_id"], {}, {"seats": Kind.NUMBER}, "no column sets it"),
    ],
)
def test_a_header_that_cannot_be_used(
    header: list[str], mapped: dict[str, str], kinds: dict[str, Kind], told: str
) -> None:
    """Says what to write."""
    with pytest.raises(Misused, match=told):
        columns_of(header, [], mapped=mapped, kinds=kinds)


def test_every_wrong_row_is_told_with_line_and_column() -> None:
    """The line on which it begins in the file, also after cells of several lines; all of its errors."""
    found = checked(
        "account_id,name,contract_start,seats,reached.first_output\n"
        'acme,"two\nlines",2026-11-01,1,\n'
        ",x,01.11.2026,many,\n"
        "acme,again,,,\n"
        "beta,x,,,2027-01-01\n"
        "gamma,a,b,c\n"
        "delta,a,b,c,d,e\n"
        "null,x,1066-01-01,,\n",
        seats=Kind.NUMBER,
    )
    errors = [one for one in found if isinstance(one, RowError)]
    assert [(error.line, error.column) for error in errors] == [
        (4, "account_id"), (4, "contract_start"), (4, "seats"), (5, "account_id"), (6, "reached.first_output"),
        (7, None), (8, None), (9, "account_id"), (9, "contract_start"),
    ]  # fmt: skip
    assert "2026-11-01" in errors[1].message
    assert "line 2" in errors[3].message


def test_a_row_that_waives_the_first_value_is_wrong() -> None:
    """It is false or empty as it likes. A waiver is a truth, never a text: "no" would waive."""
    rows = "account_id,waived.value,waived.trained\na,true,true\nb,false,no\nc,,\nd,FALSE,true\n"
    first, second, empty, fine = checked(rows, unwaivable=frozenset({"value"}))
    assert first == RowError(
        2, "waived.value", "write false or nothing: value is the first value, which cannot be waived"
    )
    assert second == RowError(3, "waived.trained", "write true or false")
    assert [one.value["traits"] for one in (empty, fine) if isinstance(one, Item)] == [
        {},
        {"waived.value": False, "waived.trained": True},
    ]


def test_a_quote_that_is_never_closed_is_told_where_it_opens() -> None:
    """Not at the end of the file."""
    rows = list(Table('account_id,name\na,b\nc,"d\ne,f\n', "f.csv").rows())
    assert rows[0] == Row(2, ["a", "b"])
    assert isinstance(rows[1], Broken)
    assert (rows[1].line, len(rows)) == (3, 2)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_has_no_header(content: str) -> None:
    """And says what one is."""
    with pytest.raises(Misused, match="has no header"):
        Table(content, "f.csv")


def test_a_second_run_sends_the_very_same() -> None:
    """Message ids and times come from the file: what is known already changes nothing; a changed row is another."""
    first, second = checked("account_id,a\nx,1\ny,1\n"), checked("account_id,a\nx,1\ny,2\n")
    assert first == checked("account_id,a\nx,1\ny,1\n")
    assert first[0] == second[0]
    ids = {one.value["message_id"] for one in (*first, *second) if isinstance(one, Item)}
    assert len(ids) == 3


# Python's writer leaves a lone carriage return unquoted, so that no reader could tell it from the end of a line.
_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)


@given(
    st.lists(st.lists(_CELLS, min_size=2, max_size=2), max_size=6),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_csv_was_written_is_read_back(cells: list[list[str]], delimiter: str, end: str) -> None:
    """Every row with all of its cells, or left out because it is blank."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerow(["account_id", "name"])
    writer.writerows(cells)
    rows = list(Table(text_of(file.getvalue().encode(), "f.csv", encoding=None), "f.csv").rows())
    assert [row.cells for row in rows if isinstance(row, Row)] == [row for row in cells if any(map(str.strip, row))]
