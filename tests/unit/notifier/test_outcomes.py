"""Results, the retry schedule, and what they make of a delivery and its endpoint."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.gate import gate_changes
from services.notifier.domain.outcome import (
    GATE_SECONDS_MAX,
    Answer,
    Decision,
    Exhaustion,
    Result,
    Status,
    decide,
    parse_retry_after,
    result_of,
)
from services.notifier.domain.schedule import SLOTS_SECONDS, Schedule, delay_seconds

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()


def after(answer: Answer, *, failures: int = 0, age_seconds: float = 0, chance: float = 0.0) -> Decision:
    """The decision under the default schedule."""
    return decide(answer, failures=failures, age_seconds=age_seconds, schedule=Schedule(), chance=chance)


def http(status_code: int, retry_after_seconds: float | None = None) -> Answer:
    """An endpoint's answer."""
    return Answer(result=result_of(status_code), status_code=status_code, retry_after_seconds=retry_after_seconds)


@pytest.mark.parametrize(
    ("status_code", "result"),
    [
        (200, "http_2xx"),
        (204, "http_2xx"),
        (299, "http_2xx"),
        (301, "http_3xx"),
        (308, "http_3xx"),
        (400, "http_4xx"),
        (410, "http_410"),
        (429, "http_429"),
        (500, "http_5xx"),
        (503, "http_5xx"),
        (101, "protocol"),
        (600, "protocol"),
    ],
)
def test_results(status_code: int, result: str) -> None:
    """Only 200-299 is success; a redirect is a failure of its own kind."""
    assert result_of(status_code) == result


def test_schedule_is_the_specifications() -> None:
    """Ten attempts over 75 h 35 min, then exhausted by the schedule."""
    assert sum(SLOTS_SECONDS) == 75 * 3600 + 35 * 60 + 5
    for failures, slot in enumerate(SLOTS_SECONDS):
        decision = after(http(500), failures=failures)
        assert (decision.status, decision.delay_seconds, decision.counts) == (Status.PENDING, slot, True)
    assert after(http(500), failures=9).exhaustion is Exhaustion.SCHEDULE


@given(st.floats(0, 100_000), st.floats(0, 1, exclude_max=True))
def test_jitter_is_never_early_and_bounded(floor_seconds: float, chance: float) -> None:
    """At least the floor, at most a fifth more (2 s to 15 min)."""
    delay = delay_seconds(floor_seconds, chance)
    assert floor_seconds <= delay <= floor_seconds + min(max(0.2 * floor_seconds, 2), 900)


def test_deadline_exhausts() -> None:
    """A delivery whose next attempt would come after 96 h is given up now."""
    assert after(http(500), age_seconds=96 * 3600 - 4).exhaustion is Exhaustion.DEADLINE
    assert after(http(500), age_seconds=96 * 3600 - 10).status is Status.PENDING


@pytest.mark.parametrize("status_code", [429, 503])
def test_retry_after_closes_the_gate_uncharged(status_code: int) -> None:
    """The endpoint is left alone as long as it asks, and the failure does not count."""
    decision = after(http(status_code, 120.0))
    assert (decision.gate_seconds, decision.delay_seconds, decision.counts) == (120.0, 120.0, False)


@pytest.mark.parametrize("status_code", [429, 502, 503, 504])
def test_overload_without_retry_after_closes_it_for_a_minute(status_code: int) -> None:
    """Sixty seconds when the endpoint does not say."""
    assert after(http(status_code)).gate_seconds == 60


def test_retry_after_zero_keeps_to_the_schedule() -> None:
    """Zero seconds, or a date that has passed, closes nothing and is charged: else it would be retried for days."""
    decision = after(http(429, 0.0))
    assert (decision.delay_seconds, decision.counts) == (5, True)
    assert after(http(503, 0.0), failures=9).exhaustion is Exhaustion.SCHEDULE
    assert not gate_changes([("ep", 1, Result.HTTP_429, decision)]).closed_seconds


def test_what_is_not_charged_does_not_give_up_the_last_attempt() -> None:
    """Who asks for patience when the schedule is used up is tried again, as after the first failure at the earliest,
    until the deadline; so is what failed on our side."""
    for answer, seconds in ((http(503, 120.0), 120), (http(429, 1.0), 5), (Answer(result=Result.INTERNAL), 300)):
        decision = after(answer, failures=9)
        assert (decision.status, decision.delay_seconds, decision.counts) == (Status.PENDING, seconds, False)
        assert after(answer, failures=9, age_seconds=96 * 3600).exhaustion is Exhaustion.DEADLINE


def test_retry_after_of_other_failures_is_never_undercut() -> None:
    """A 500 that names a time is tried no earlier, on the schedule, and closes nothing."""
    decision = after(http(500, 700.0))
    assert (decision.delay_seconds, decision.counts, decision.gate_seconds) == (700, True, None)


@pytest.mark.parametrize("status_code", [502, 504])
def test_a_proxy_s_retry_after_holds_for_its_delivery(status_code: int) -> None:
    """The endpoint is left alone for a minute, the delivery for as long as the answer asked."""
    decision = after(http(status_code, 700.0))
    assert (decision.delay_seconds, decision.counts, decision.gate_seconds) == (700, False, 60)


def test_gone_disables() -> None:
    """410 ends it for the endpoint."""
    assert after(http(410)).disables
    assert gate_changes([("ep", 3, Result.HTTP_410, after(http(410)))]).disabled == {"ep": 3}


def test_our_own_failures_never_count() -> None:
    """`internal` charges neither the delivery nor the endpoint, and comes back slowly: no schedule slows it down."""
    decision = after(Answer(result=Result.INTERNAL))
    assert (decision.status, decision.counts, decision.delay_seconds) == (Status.PENDING, False, 300)
    assert not gate_changes([("ep", 1, Result.INTERNAL, decision)]).failures


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("315360000", GATE_SECONDS_MAX),
        ("9" * 400, GATE_SECONDS_MAX),
        (format_datetime(datetime(2026, 11, 20, 10, 5, tzinfo=UTC), usegmt=True), 300.0),
        (format_datetime(datetime(2036, 11, 20, tzinfo=UTC), usegmt=True), GATE_SECONDS_MAX),
        (format_datetime(datetime(2016, 11, 20, tzinfo=UTC), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
        ("\u0665", None),
    ],
)
def test_retry_after_is_read(text: str | None, seconds: float | None) -> None:
    """Seconds or a date, at most 24 h; garbage is as if it were not there."""
    assert parse_retry_after(text, now_seconds=NOW) == seconds


def test_a_date_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """As C's asctime writes it, which HTTP still allows; not on the clock of where the notifier happens to run."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_retry_after("Fri Nov 20 10:05:00 2026", now_seconds=NOW) == 300
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("days", [-10, 0, 10])
def test_a_date_is_read_by_the_clock_that_wrote_it(days: int) -> None:
    """Five minutes are five minutes, however far the receiver's clock and ours are apart; not so without its Date."""
    theirs = datetime(2026, 11, 20, 10, tzinfo=UTC) + timedelta(days=days)
    date, until = (format_datetime(theirs + timedelta(minutes=minutes), usegmt=True) for minutes in (0, 5))
    assert parse_retry_after(until, date=date, now_seconds=NOW) == 300
    assert parse_retry_after(until, date="soon", now_seconds=NOW) == {-10: 0, 0: 300, 10: GATE_SECONDS_MAX}[days]


@given(st.text(max_size=60), st.text(max_size=60))
def test_retry_after_survives_anything(text: str, date: str) -> None:
    """Whatever a server sends, the result is nothing or a number in range."""
    seconds = parse_retry_after(text, date=date, now_seconds=NOW)
    assert seconds is None or 0 <= seconds <= GATE_SECONDS_MAX


def test_longest_pause_of_a_batch_wins() -> None:
    """Two answers of one endpoint in a batch: the longer pause holds."""
    changes = gate_changes(
        [("ep", 1, Result.HTTP_429, after(http(429, seconds))) for seconds in (300.0, 30.0)]
        + [("well", 1, Result.HTTP_2XX, after(http(200)))]
    )
    assert changes.closed_seconds == {"ep": 300.0}
    assert changes.succeeded == {"well"}
    assert changes.failures == {"ep": 2}
