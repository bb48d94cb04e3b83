"""How much an endpoint is given at once, and when it is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.breaker import WINDOW_ATTEMPTS, Window, Windows
from services.notifier.domain.concurrency import Concurrency
from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX, remember
from services.notifier.domain.outcome import Result

RESULTS = st.lists(st.tuples(st.sampled_from(list(Result)), st.floats(0, 30)), max_size=200)


def after(*results: Result, cap: int = 100, seconds: float = 0.01) -> Concurrency:
    """The limit after attempts one after another."""
    made = Concurrency()
    for number, result in enumerate(results):
        made.observe(result, started_at=number, ended_at=number + seconds, cap=cap)
    return made


@given(RESULTS, st.integers(1, 100))
def test_limit_stays_between_one_and_the_cap(results: list[tuple[Result, float]], cap: int) -> None:
    """Whatever happens, one request may always be made and never more than the endpoint's own cap."""
    made, now = Concurrency(), 0.0
    for result, seconds in results:
        made.observe(result, started_at=now, ended_at=now + seconds, cap=cap)
        now += seconds
        assert 1 <= made.limit <= cap


def test_begins_slowly_and_doubles() -> None:
    """1, 2, 4, 8: each success of a round adds one."""
    assert [after(*[Result.HTTP_2XX] * count).limit for count in (0, 1, 3, 7)] == [1, 2, 4, 8]


@pytest.mark.parametrize("result", [Result.TIMEOUT, Result.HTTP_429, Result.HTTP_5XX])
def test_overload_halves_then_additive(result: Result) -> None:
    """Half at once, and from there one more per round."""
    well = [Result.HTTP_2XX] * 31
    made = after(*well, result)
    assert made.limit == 16
    for number in range(16):
        made.observe(Result.HTTP_2XX, started_at=100 + number, ended_at=100.5 + number, cap=100)
    assert 16.9 < made.limit <= 17


@pytest.mark.parametrize("result", [Result.HTTP_4XX, Result.HTTP_3XX, Result.INTERNAL])
def test_what_is_no_overload_halves_nothing(result: Result) -> None:
    """A refused message says nothing of how much the endpoint can take."""
    assert after(*[Result.HTTP_2XX] * 7, result).limit == 8


def test_one_round_of_timeouts_halves_once() -> None:
    """Requests that were on the wire together tell the same thing."""
    made = after(*[Result.HTTP_2XX] * 31)
    for _ in range(10):
        made.observe(Result.TIMEOUT, started_at=50, ended_at=65, cap=100)
    assert made.limit == 16
    made.observe(Result.TIMEOUT, started_at=65, ended_at=80, cap=100)
    assert made.limit == 8


def test_recovery_doubles_again() -> None:
    """After the breaker the backlog must not wait for one more per round trip."""
    made = after(*[Result.HTTP_2XX] * 31, *[Result.TIMEOUT] * 6)
    assert made.limit == 1
    for number in range(31):
        made.observe(Result.HTTP_2XX, started_at=100 + number, ended_at=100.1 + number, cap=100)
    assert made.limit == 32


def test_trouble_is_failing_or_slow() -> None:
    """The newest attempt failed, or they take over two seconds on average; our own failures say nothing."""
    assert not after(Result.HTTP_2XX).troubled
    assert not after(Result.HTTP_2XX, Result.INTERNAL).troubled
    assert after(Result.HTTP_2XX, Result.CONNECT).troubled
    assert not after(Result.CONNECT, Result.HTTP_2XX).troubled
    assert after(*[Result.HTTP_2XX] * 20, seconds=3).troubled


def test_half_of_twenty_trips() -> None:
    """Not before the window is full, and not again before it is full anew."""
    window = Window()
    assert not any(window.add(failed=number % 2 == 0, revision=1) for number in range(WINDOW_ATTEMPTS - 1))
    assert not window.add(failed=False, revision=1)
    assert window.add(failed=True, revision=1)
    assert not any(window.add(failed=True, revision=1) for _ in range(WINDOW_ATTEMPTS - 1))
    assert window.add(failed=True, revision=1)


def test_a_window_begins_anew_with_the_endpoint() -> None:
    """What failed before a change trips nothing after it, and neither does what was on the wire meanwhile."""
    window = Window()
    assert not any(window.add(failed=True, revision=1) for _ in range(WINDOW_ATTEMPTS - 1))
    assert not any(window.add(failed=True, revision=2) for _ in range(WINDOW_ATTEMPTS - 1))
    assert not any(window.add(failed=True, revision=1) for _ in range(WINDOW_ATTEMPTS))
    assert window.add(failed=True, revision=2)


def test_windows_of_endpoints_that_are_gone_are_forgotten() -> None:
    """However many come and go: those that were attempted last are kept."""
    windows = Windows()
    for number in range(ENDPOINTS_MAX + 100):
        windows.add(f"ep_{number}", failed=True, revision=1)
        assert windows.add("used", failed=True, revision=1) == (number % WINDOW_ATTEMPTS == WINDOW_ATTEMPTS - 1)
    assert len(windows) == ENDPOINTS_MAX


def test_all_endpoints_that_there_may_be_are_remembered() -> None:
    """To hear of one again makes no other one forgotten; one too many costs the oldest alone."""
    known: dict[str, int] = {}
    for number in range(ENDPOINTS_MAX):
        remember(known, f"ep_{number}", number)
    remember(known, "ep_0", 0)
    assert len(known) == ENDPOINTS_MAX
    remember(known, "ep_new", 0)
    assert len(known) == ENDPOINTS_MAX
    assert "ep_0" in known
    assert "ep_1" not in known


@given(st.lists(st.booleans(), max_size=300))
def test_few_failures_never_trip(failures: list[bool]) -> None:
    """With every third attempt at most failing the breaker stays shut."""
    window = Window()
    assert not any(window.add(failed=failed and number % 3 == 0, revision=1) for number, failed in enumerate(failures))
