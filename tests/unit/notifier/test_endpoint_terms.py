"""Pace, delivery windows, custom headers, and what is answered to a mistake in an endpoint's terms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.notifier.api.endpoint_terms import EndpointChanges, NewEndpoint, Rotation
from services.notifier.domain.custom_headers import HeadersRefused, checked_headers
from services.notifier.domain.delivery_window import WindowRefused, read_window
from services.notifier.domain.pace import Pace

URL = "https://hooks.example.com/"


@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_stretch_of_time_gets_more_than_burst_and_rate(
    per_second: float, burst: int, pauses_seconds: list[float]
) -> None:
    """Whoever asks when, in any t seconds there are at most burst + rate * t permits, and waiting gives one."""
    pace, now = Pace(per_second, burst), 0.0
    taken: list[float] = []
    for pause in pauses_seconds:
        now += pause
        while pace.wait_seconds(now) <= 0 and len(taken) < 500:
            pace.take(now)
            taken.append(now)
        now += pace.wait_seconds(now) + 1e-6
        assert pace.wait_seconds(now) <= 1e-6
    for first in range(0, len(taken), 7):
        for last in range(first, len(taken), 5):
            assert last - first + 1 <= burst + per_second * (taken[last] - taken[first]) + 1e-3


def test_a_burst_is_there_at_once_and_after_a_pause() -> None:
    """The bucket starts full, and a full bucket does not grow."""
    pace = Pace(2.0, 3)
    for now in (0.0, 100.0):
        for _ in range(3):
            assert pace.wait_seconds(now) == 0
            pace.take(now)
        assert pace.wait_seconds(now) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("days", "start", "end", "hours"),
    [
        (("mon", "tue", "wed", "thu", "fri"), "08:00", "18:00", 62),
        (("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "00:00", "00:00", 0),
        (("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "22:00", "06:00", 16),
        (("mon", "thu"), "12:00", "12:00", 72),
    ],
)
def test_the_longest_time_without_deliveries_is_known(days: tuple[str, ...], start: str, end: str, hours: int) -> None:
    """Over weekends, over midnight, and never."""
    assert read_window(days=days, start=start, end=end).closed_minutes_longest() == hours * 60


@pytest.mark.parametrize(
    ("days", "start", "end", "advice"),
    [
        ((), "08:00", "18:00", "mon, tue"),
        (("Monday",), "08:00", "18:00", "mon, tue"),
        (("mon",), "8:00", "18:00", "HH:MM"),
        (("mon",), "08:00", "24:00", "HH:MM"),
        (("mon",), "08:00", "18:00", "at least every 72 hours"),
    ],
)
def test_windows_that_cannot_be_kept_are_refused(days: tuple[str, ...], start: str, end: str, advice: str) -> None:
    """With what to write instead."""
    with pytest.raises(WindowRefused, match=advice):
        read_window(days=days, start=start, end=end)


def test_headers_are_sent_in_lower_case() -> None:
    """Names are, values stay."""
    assert checked_headers({"X-Team": "Customer Success", "authorization": "Bearer example"}) == {
        "x-team": "Customer Success",
        "authorization": "Bearer example",
    }


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        ({"webhook-id": "mine"}, "set for every webhook"),
        ({"Webhook-Signature": "v1,none"}, "set for every webhook"),
        ({"Content-Type": "text/plain"}, "set for every webhook"),
        ({"traceparent": "x"}, "set for every webhook"),
        ({"User-Agent": "me"}, "set for every webhook"),
        ({"Host": "elsewhere"}, "set for every webhook"),
        ({"Content-Length": "0"}, "set for every webhook"),
        ({"Proxy-Authorization": "x"}, "set for every webhook"),
        ({"x team": "a"}, "letters, digits and dashes"),
        ({"": "a"}, "letters, digits and dashes"),
        ({"x-a": "a\r\nwebhook-id: mine"}, "on one line"),
        ({"x-a": "ümlaut"}, "plain ASCII"),
        ({"x-a": " a"}, "without spaces at its ends"),
        ({"x-a": "1", "X-A": "2"}, "once"),
        ({f"x-{number}": "" for number in range(21)}, "at most 20 headers"),
        ({"x-a": "a" * 4090}, "4096 bytes"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str], advice: str) -> None:
    """Ours, broken ones, and too many."""
    with pytest.raises(HeadersRefused, match=advice):
        checked_headers(headers)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_accepted_headers_hold_one_line_each(headers: dict[str, str]) -> None:
    """Whatever passes has no line break, and no name of ours."""
    try:
        checked = checked_headers(headers)
    except HeadersRefused:
        return
    for name, value in checked.items():
        assert not {"\r", "\n", "\0"} & set(name + value)
        assert not name.startswith("webhook-")


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ({}, "name at least one field to change: url, description"),
        ({"tipes": ["account.*"]}, "you probably mean types"),
        ({"colour": "red"}, "there are url, description"),
        ({"format": "slack"}, "add another endpoint"),
        ({"secret": "whsec_x"}, "rotate"),
        ({"url": None}, "valid string"),
        ({"timeout_seconds": 31}, "less than or equal to 30"),
        ({"timeout_seconds": 0.5}, "greater than or equal to 1"),
        ({"retry_schedule_seconds": [86_400] * 5}, "at most 345600 seconds together"),
        ({"retry_schedule_seconds": []}, "at least 1 item"),
        ({"delivery_window": {"time_zone": "UTC", "from": "8", "until": "18:00"}}, "HH:MM"),
        ({"delivery_window": {"zone": "UTC", "from": "08:00", "until": "18:00"}}, "you probably mean time_zone"),
        ({"delivery_window": {"time_zone": "UTC\0", "from": "08:00", "until": "18:00"}}, "match pattern"),
        ({"headers": {"webhook-id": "mine"}}, "set for every webhook"),
    ],
)
def test_a_change_that_is_only_a_mistake_says_what_to_do(body: dict[str, object], advice: str) -> None:
    """Nothing is ignored in silence."""
    with pytest.raises(ValidationError, match=advice):
        EndpointChanges.model_validate(body)


def test_null_takes_away_what_may_be_absent() -> None:
    """And only what was named is changed."""
    body = {"rate_per_second": None, "delivery_window": None}
    assert EndpointChanges.model_validate(body).model_dump(exclude_unset=True) == body


def test_a_change_is_described_without_defaults() -> None:
    """A generated client would send them, and with them take back what it did not mean to touch."""
    fields = EndpointChanges.model_json_schema()["properties"].values()
    assert not [each for each in fields if "default" in each]
    assert EndpointChanges.model_json_schema()["example"]["timeout_seconds"] == 5


def test_defaults_of_a_new_endpoint() -> None:
    """All of an account's live signals, for a day of rotation."""
    made = NewEndpoint.model_validate({"url": URL})
    assert (made.types, made.origins, made.plans, made.signature) == (["account.*"], ["live"], [], "v1")
    assert Rotation().keep_seconds == 86_400
