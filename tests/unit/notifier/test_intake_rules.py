"""Filters, sequence numbers, and what makes a record unreadable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.signals import TYPES, encode
from services.notifier.domain.filters import About, Filter, unknown_patterns
from services.notifier.domain.sequence import GAPS_MAX, Arrival, Progress, observe
from services.notifier.reading import BODY_BYTES_MAX, ledger_of, read_record, sequence_of
from services.notifier.store.intake import Message, Poison
from tests.builders_signals import a_signal


@dataclass
class Record:
    """As much of a Kafka record as reading needs."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    offset: int = 7


def arrivals(numbers: list[int]) -> tuple[Progress, list[Arrival]]:
    """Numbers in the order in which they arrive."""
    progress, seen = Progress(), []
    for number in numbers:
        progress, arrival = observe(progress, number)
        seen.append(arrival)
    return progress, seen


def test_filters_match_types_and_origins() -> None:
    """Exact types, families, and live signals only unless asked."""
    family = Filter()
    assert family.wants("account.stalled", "live")
    assert not family.wants("account.stalled", "replay")
    assert not family.wants("accounting.closed", "live")
    assert not family.wants("endpoint.ping", "live")
    exact = Filter(("account.stalled",), ("live", "catch_up"))
    assert exact.wants("account.stalled", "catch_up")
    assert not exact.wants("account.at_risk", "live")


def test_filters_choose_by_what_is_said_of_the_account() -> None:
    """Each filter takes any of its values, all must pass, and an erasure passes them all."""
    about = About("b2b-saas", "smb", "dana@vendor.example", "quiet")
    own = {"plans": ("b2b-saas", "api"), "segments": ("smb",), "owners": (str(about.owner),), "reasons": ("quiet",)}
    assert Filter(**own).wants("account.stalled", "live", about)
    for name in own:
        assert not Filter(**(own | {name: ("another",)})).wants("account.stalled", "live", about), name
        assert Filter(**(own | {name: ()})).wants("account.stalled", "live", about), name
    assert not Filter(segments=("smb",)).wants("account.stalled", "live")
    assert Filter(segments=("smb",)).wants("account.erased", "live")


def test_misspelt_types_are_found() -> None:
    """A pattern that matches nothing known is named."""
    assert unknown_patterns(["account.*", "account.staled", "acount.*", "endpoint.ping"], TYPES) == [
        "account.staled",
        "acount.*",
    ]


def test_gap_opens_and_is_filled() -> None:
    """A skipped number is missing until it arrives, in any order; repeats change nothing."""
    progress, seen = arrivals([5, 6, 9, 6, 8, 7, 7])
    assert seen == [
        Arrival.NEXT,
        Arrival.NEXT,
        Arrival.GAP,
        Arrival.REPEAT,
        Arrival.FILLS,
        Arrival.FILLS,
        Arrival.REPEAT,
    ]
    assert progress == Progress(9)


def test_numbers_of_another_ledger_begin_anew() -> None:
    """As when the engine's database was lost: low numbers are no repeats then, and a gap among them is one. Until a
    ledger is named, and in records that name none, it is the one that is followed."""
    progress, seen = Progress(), []
    for number, ledger_ms in ((5, None), (9, 1), (10, None), (2, 2), (4, 2), (4, None), (3, 2), (11, 1)):
        progress, arrival = observe(progress, number, ledger_ms)
        seen.append((arrival, progress.missing))
    assert seen == [
        (Arrival.NEXT, 0),
        (Arrival.GAP, 3),
        (Arrival.NEXT, 3),
        (Arrival.OTHER_LEDGER, 0),
        (Arrival.GAP, 1),
        (Arrival.REPEAT, 1),
        (Arrival.FILLS, 0),
        (Arrival.OTHER_LEDGER, 0),
    ]
    assert progress == Progress(11, ledger_ms=1)


@given(st.lists(st.integers(1, 60), min_size=1))
def test_missing_is_exactly_what_did_not_arrive(numbers: list[int]) -> None:
    """From the first number on, the gaps are the numbers below the highest that are not among the arrived."""
    progress, _ = arrivals(numbers)
    expected = set(range(numbers[0], max(max(numbers), numbers[0]) + 1)) - set(numbers)
    missing = {number for start, end in progress.gaps for number in range(start, end + 1)}
    assert missing == expected
    assert progress.missing == len(expected)


def test_gaps_are_bounded() -> None:
    """More gaps than are kept apart still count as missing."""
    progress, _ = arrivals(list(range(0, 400, 2)))
    assert len(progress.gaps) == GAPS_MAX
    assert progress.missing >= 199


def test_record_becomes_message_unchanged() -> None:
    """The value's bytes are the body, the header is the number."""
    signal = a_signal(origin="catch_up")
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    message = read_record(Record(encode(signal), (("seq", b"12"), ("received_ms", b"34"), ("traceparent", trace))))
    about = About("b2b-saas", "smb", "dana@vendor.example", "milestone_overdue")
    told = (signal.id, signal.type, "acme", "catch_up", trace.decode(), encode(signal), 12, about)
    assert message == Message(*told, received_ms=34, occurred_at=signal.timestamp)
    assert sequence_of(Record(b"", (("seq", b"12"),))) == 12
    assert sequence_of(Record(b"", (("seq", b"-1"),))) is None
    assert [ledger_of(Record(b"", headers)) for headers in ((("ledger_ms", b"34"),), ())] == [34, None]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_that_the_database_cannot_take_are_left_out(moment: str) -> None:
    """The signal is delivered all the same: it does not stop its partition, and only latencies miss it."""
    signal = msgspec.structs.replace(a_signal(), timestamp=msgspec.json.decode(f'"{moment}"', type=datetime))
    record = Record(encode(signal), (("seq", b"12"), ("received_ms", b"9" * 18)))
    message = read_record(record)
    assert isinstance(message, Message)
    assert (message.received_ms, message.occurred_at, message.seq) == (None, None, 12)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"not json", "undecodable"),
        (b"{}", "undecodable"),
        (b"\xff\xfe", "undecodable"),
        (encode(a_signal(id="has space")), "id_invalid"),
        (encode(a_signal(id="x" * 256)), "id_invalid"),
        (encode(a_signal(type="Account Stalled")), "id_invalid"),
        (encode(a_signal(type="account." + "x" * 256)), "id_invalid"),
        (encode(a_signal(account_id="a\0b")), "text_invalid"),
        (encode(a_signal(account_id="a" * 256)), "text_invalid"),
        (encode(a_signal(account_id="a" * BODY_BYTES_MAX)), "body_too_large"),
    ],
)
def test_unreadable_records_have_a_reason(value: bytes, reason: str) -> None:
    """Poison is told from what can be delivered."""
    assert read_record(Record(value)) == Poison(0, 7, reason, value)


def test_nesting_without_an_end_is_poison_like_any_other() -> None:
    """Wherever it begins: it does not end the process, which would read it again after each start."""
    whole, deep = encode(a_signal()), b"[" * 100_000
    for value in (whole.replace(b'"traits":{}', b'"traits":{"deep":' + deep), whole[:-1] + b',"unknown":' + deep):
        assert value != whole
        assert read_record(Record(value)) == Poison(0, 7, "undecodable", value)


@pytest.mark.parametrize("value", [None, b""])
def test_an_erased_signal_is_neither_a_message_nor_poison(value: bytes | None) -> None:
    """Its record has nothing but a number, which is followed like any other."""
    assert read_record(Record(value)) is None
