"""What one source may do: its pace, and what is taken out of its events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.events import IncomingEvent, Rejected
from services.ingest.redaction import Redaction, Redactor
from services.ingest.sources import SOURCES_MAX, Bucket, Quota, SourceRules, Sources, encode_rules
from services.runtime.access import Principal
from services.runtime.problems import Problem


def principal(**quota: float) -> Principal:
    """A key with this quota."""
    return Principal("k1", "test", frozenset(), rules=encode_rules(SourceRules(quota=Quota(**quota))).decode())


@given(
    st.floats(0.1, 1e6),
    st.floats(0.1, 60),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5_000), st.booleans()), max_size=50),
)
def test_a_bucket_gives_no_more_than_its_rate(rate: float, burst: float, asked: list[tuple[float, int, bool]]) -> None:
    """Over any time: the burst, the rate times the time, and one request beyond, which is paid back by waiting. What is
    given back later counts as if it had not been taken."""
    bucket, now, taken, last, refused = Bucket(rate, burst, now=0.0), 0.0, 0, 0, 0
    for pause, amount, is_refused in asked:
        now += pause
        bucket.take(-refused)
        refused = 0
        if bucket.wait_seconds(now) == 0:
            bucket.take(amount)
            if is_refused:
                refused = amount
            else:
                taken, last = taken + amount, amount
    assert taken - last <= max(1.0, rate * burst) + rate * now + 1e-3


@pytest.mark.parametrize(
    ("quota", "spent"), [("events_per_second", {"events": 45}), ("bytes_per_second", {"body_bytes": 45})]
)
def test_a_source_over_its_quota_hears_how_long_to_wait(quota: str, spent: dict[str, int]) -> None:
    """In whole seconds, never 0, in both headers."""
    source = Sources(secret="").of(principal(**{quota: 10}, burst_seconds=1))
    source.admit(1e9)
    source.spend(1e9, **{"events": 1, "body_bytes": 1, **spent})
    for passed_seconds, told in ((0, "4"), (3.4, "1")):
        with pytest.raises(Problem) as problem:
            source.admit(1e9 + passed_seconds)
        assert (problem.value.status, problem.value.code) == (429, "quota_exceeded")
        assert problem.value.headers == {"retry-after": told, "x-ratelimit-reset": told}
    source.admit(1e9 + 4)


def test_nobody_is_told_to_wait_for_ever() -> None:
    """Whatever the quota; to such a client it would look like a fault of ours."""
    source = Sources(secret="").of(principal(events_per_second=5e-324))
    source.spend(1e9, events=45, body_bytes=1)
    with pytest.raises(Problem) as problem:
        source.admit(1e9)
    assert problem.value.headers["retry-after"] == "86400"


def test_one_request_alone_overdraws_a_quota() -> None:
    """Those that were admitted while its body was on the way are refused, not added to what has to be paid back."""
    source = Sources(secret="").of(principal(events_per_second=10, burst_seconds=1))
    for _ in range(2):
        source.admit(1e9)
    source.spend(1e9, events=45, body_bytes=1)
    with pytest.raises(Problem) as problem:
        source.spend(1e9, events=45, body_bytes=1)
    assert problem.value.headers["retry-after"] == "4"


def test_changed_rules_count_at_once() -> None:
    """The pace begins anew; unchanged rules keep it."""
    sources = Sources(secret="")
    slow = sources.of(principal(events_per_second=1, burst_seconds=1))
    slow.spend(1e9, events=1_000, body_bytes=1)
    assert sources.of(principal(events_per_second=1, burst_seconds=1)) is slow
    sources.of(principal(events_per_second=2, burst_seconds=1)).admit(1e9)


def test_the_paces_of_many_keys_are_bounded() -> None:
    """Keys come and go for years; a pace that is forgotten begins anew."""
    sources = Sources(secret="")
    for number in range(SOURCES_MAX + 1):
        sources.of(Principal(f"k{number}", "test", frozenset()))
    assert len(sources._sources) <= SOURCES_MAX


def redacted(value: Any, **paths: tuple[str, ...]) -> Any:
    """An event as it is kept."""
    return json.loads(Redactor(Redaction(**paths), secret="s").raw(json.dumps(value).encode()))


def test_paths_are_dropped_and_hashed() -> None:
    """Whatever stands there; nothing else changes; what is not there is no error."""
    event = {"context": {"ip": "192.0.2.7", "traits": {"email": "kim@acme.example", "age": 7}}, "userId": "u-1"}
    kept = redacted(event, drop=("context.ip", "no.such"), hash=("context.traits.email", "context.traits.age", "x"))
    assert kept["context"].keys() == {"traits"}
    assert kept["userId"] == "u-1"
    assert kept["context"]["traits"]["email"].startswith("hash:")
    assert kept["context"]["traits"]["age"].startswith("hash:")
    assert "kim" not in json.dumps(kept)


def test_a_hash_is_the_same_for_the_same_value_and_secret_alone() -> None:
    """So that people can still be told apart, and a list of addresses cannot be tried by those who lack the secret."""
    first, second = ({"a": "kim"}, {"a": "kim", "b": 1})
    assert redacted(first, hash=("a",))["a"] == redacted(second, hash=("a",))["a"]
    other = json.loads(Redactor(Redaction(hash=("a",)), secret="t").raw(b'{"a":"kim"}'))
    assert other["a"] != redacted(first, hash=("a",))["a"]
    assert redacted(redacted(first, hash=("a",)), hash=("a",)) == redacted(first, hash=("a",))


def test_what_a_batch_says_about_all_is_redacted_too() -> None:
    """After it was merged; what was read there is forgotten."""
    document = {"context": {"traits": {"email": "kim@acme.example"}}}
    event = IncomingEvent("track", b"{}", "acme", "u-1", "X", "m", None, None, "it", "kim@acme.example", document)
    Redactor(Redaction(drop=("context.traits.email",)), secret="s").event(event)
    assert event.body == b'{"context":{"traits":{}}}'
    assert (event.role, event.email) == (None, None)


def test_an_event_that_cannot_be_redacted_is_rejected() -> None:
    """It may hold anything."""
    with pytest.raises(Rejected):
        Redactor(Redaction(drop=("a",)), secret="s").raw(b'{"a":NaN}')
