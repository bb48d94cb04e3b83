"""The debugger shows whatever stands on a topic, also what ingest did not write."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from services.ingest.debugger.rows import Filters, picker


@pytest.mark.parametrize("value", [b"no json", b'{"type":"\xff"}', b'{"body":' + b"[" * 5_000, b"[]"])
def test_a_record_that_nobody_can_read_is_a_row_that_says_so(value: bytes) -> None:
    """Else this one record would keep all others from being shown."""
    record = SimpleNamespace(key=b"acme", value=value, headers=[], timestamp=0, partition=0, offset=7)
    row = picker("accepted", Filters())(record)
    assert row is not None
    assert (row.reason, row.offset) == ("record_unreadable", 7)
