"""The debugger shows whatever stands on a topic, also what ingest did not write."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from services.ingest.debugger.places import topic_offsets, topic_place, waiting_place, waiting_place_of
from services.ingest.debugger.rows import Filters, picker
from services.ingest.debugger.waiting import Before
from services.runtime.cursors import encode_cursor
from services.runtime.problems import Problem


@pytest.mark.parametrize("value", [b"no json", b'{"type":"\xff"}', b'{"body":' + b"[" * 5_000, b"[]"])
def test_a_record_that_nobody_can_read_is_a_row_that_says_so(value: bytes) -> None:
    """Else this one record would keep all others from being shown."""
    record = SimpleNamespace(key=b"acme", value=value, headers=[], timestamp=0, partition=0, offset=7)
    row = picker("accepted", Filters())(record)
    assert row is not None
    assert (row.reason, row.offset) == ("record_unreadable", 7)


@pytest.mark.parametrize("status", ["accepted", "unresolved", "dead"])
def test_a_body_that_is_no_text_is_shown_as_one(status: Any) -> None:
    """The parser of the envelope does not look into it, and it would make the whole answer no JSON."""
    value = b'{"v":1,"message_id":"m-1","body":{"a":"\xff"}}'
    record = SimpleNamespace(key=b"acme", value=value, headers=[], timestamp=0, partition=0, offset=7)
    row = picker(status, Filters())(record)
    shown = msgspec.json.decode(msgspec.json.encode([row]))
    assert "\ufffd" in shown[0]["body"]


def test_places_survive_the_way_to_the_client_and_back() -> None:
    """Those on a topic, and those among what waits."""
    last = (datetime(2026, 11, 20, 10, 0, tzinfo=UTC), "kim", "m-1")
    for before in (Before({0: 5, 1: 0}, {0: 9}), Before({0: 5}, {0: 9}, last)):
        assert waiting_place_of(waiting_place(before)) == before
    assert waiting_place_of(topic_place("unresolved", {0: 5})) is None
    assert topic_offsets(topic_place("unresolved", {0: 5}), "unresolved") == {0: 5}


@pytest.mark.parametrize(
    "last",
    [["2026-11-20", "u", "m"], ["x", "u", "m"], ["0001-01-01T00:00:00+14:00", "u", "m"]],
    ids=["no_zone", "no_time", "no_day"],
)
def test_a_place_that_nobody_gave_is_refused(last: list[str]) -> None:
    """As any wrong cursor."""
    with pytest.raises(Problem, match="cursor"):
        waiting_place_of(encode_cursor(["waiting", {"0": 1}, {"0": 1}, *last]))
