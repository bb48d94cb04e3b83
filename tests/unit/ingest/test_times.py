"""When it happened: what clients write, and what is made of a clock that is wrong."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.activation_engine.domain.instants import parse_instant
from services.ingest.times import moment, occurrence, readable_moment

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("original", "sent", "expected", "flags"),
    [
        (NOW - timedelta(hours=1), None, NOW - timedelta(hours=1), ()),
        (NOW - timedelta(hours=1), NOW - timedelta(minutes=50), NOW - timedelta(hours=1), ()),
        (NOW + timedelta(minutes=5), NOW + timedelta(minutes=5), NOW + timedelta(minutes=5), ()),
        (NOW + timedelta(hours=2), NOW + timedelta(hours=3), NOW - timedelta(hours=1), ("skewed",)),
        (NOW + timedelta(minutes=6), None, NOW, ("clamped",)),
        (NOW + timedelta(hours=9), NOW + timedelta(hours=1), NOW, ("skewed", "clamped")),
        (NOW - timedelta(days=7), None, NOW - timedelta(days=7), ()),
        (NOW - timedelta(days=8), None, NOW - timedelta(days=8), ("historical",)),
        (None, NOW, NOW, ("no_timestamp",)),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), NOW, ("skewed",)),
        (datetime.min.replace(tzinfo=UTC), None, NOW, ("clamped",)),
        (datetime(1970, 12, 31, 23, 59, tzinfo=UTC), NOW, NOW, ("clamped",)),
        (datetime(1971, 1, 1, tzinfo=UTC), NOW, datetime(1971, 1, 1, tzinfo=UTC), ("historical",)),
    ],
)
def test_only_a_clock_that_is_ahead_or_was_never_set_is_corrected(
    original: datetime | None, sent: datetime | None, expected: datetime, flags: tuple[str, ...]
) -> None:
    """`sent_at` behind is a delayed retry: correcting it would give one event two times."""
    assert occurrence(original, sent, NOW, WEEK) == (expected, flags)


@pytest.mark.parametrize("read", [readable_moment, parse_instant])
def test_a_long_text_is_not_remembered_as_a_moment(read: Callable[[str], Any]) -> None:
    """Sixty-four bodies of 5 MiB would stay, sent by anybody: what a body says is read before its key is known."""
    tracemalloc.start()
    try:
        for number in range(10):
            assert read(f"{number}" * 100_000) is None
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100_000
    assert read("2026-11-20T10:00:00Z") is not None


@given(MOMENTS, st.none() | MOMENTS, MOMENTS)
def test_nothing_happens_in_the_future(original: datetime, sent: datetime | None, received: datetime) -> None:
    """However wrong a clock is, what comes out is at most five minutes ahead."""
    occurred, _ = occurrence(original, sent, received, WEEK)
    assert occurred - received <= timedelta(minutes=5)


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows another time of day."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T10:00:00Z", NOW),
        ("2026-11-20T12:00:00+02:00", NOW),
        ("2026-11-20T10:00:00", NOW),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", datetime(1, 1, 1, tzinfo=UTC)),
        (1795168800, datetime(2026, 11, 20, 10, 0, tzinfo=UTC)),
        (1795168800000, datetime(2026, 11, 20, 10, 0, tzinfo=UTC)),
        (1e11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
    ],
)
@pytest.mark.usefixtures("far_from_utc")
def test_times_are_read_as_clients_write_them(text: str | float, expected: datetime) -> None:
    """Offsets, no offset (UTC, wherever this runs), dates, epoch seconds and milliseconds."""
    assert moment(text, "timestamp") == expected
    assert moment(text, "timestamp").tzinfo is UTC
