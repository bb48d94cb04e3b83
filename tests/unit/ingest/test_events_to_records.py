"""Who, when and where: the rules between a dialect and the log."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas.positions import decode_position, encode_position
from schemas.product_event import ProductEvent, decode_product_event
from services.ingest.accounts import AccountRules
from services.ingest.delivery import RECORD_BYTES_MAX
from services.ingest.directory.person import NOBODY, Person
from services.ingest.events import ID_BYTES_MAX, IncomingEvent, Rejected
from services.ingest.json_paths import parse_paths
from services.ingest.message_ids import new_message_id
from services.ingest.partitions import KEPT_IDS_MAX, partitioner
from services.ingest.people import StaffRule
from services.ingest.records import Arrival, RecordBuilder, dead_letter_headers

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def new_builder(*, staff: tuple[str, ...] = ()) -> RecordBuilder:
    """A builder with the default places of accounts."""
    return RecordBuilder(
        partitions=6,
        place=partitioner(6),
        staff=StaffRule(staff),
        historical_age=WEEK,
        accounts=AccountRules(group_types=("company",), paths=parse_paths("properties.account_id")),
    )


def record_of(*, staff: tuple[str, ...] = (), received_at: datetime = NOW, **fields: Any) -> ProductEvent:
    """The decoded record of an event with these fields; raises Rejected."""
    given_fields = {
        "type": "track",
        "body": b'{"event":"X"}',
        "account_id": "acme",
        "user_id": "u-1",
        "event": "X",
        "message_id": "m-1",
        "timestamp": "2026-11-20T09:59:00Z",
        "sent_at": None,
        **fields,
    }
    builder = new_builder(staff=staff)
    built = builder.build(IncomingEvent(**given_fields), Arrival("k1", "/v1/batch", received_at, None), NOBODY)
    assert built.product is not None
    return decode_product_event(built.product.value)


@pytest.mark.parametrize(
    "junk",
    ["", " ", "null", "NULL", "undefined", "0", 0, "[object Object]", "anonymous", "Guest", "none", "NaN"],
)
def test_ids_that_mean_unknown_are_no_accounts(junk: str | int) -> None:
    """One account called "null" would activate for everybody."""
    with pytest.raises(Rejected) as rejected:
        record_of(account_id=junk)
    assert rejected.value.code == "account_invalid"


def test_an_event_without_account_and_user_says_what_to_do() -> None:
    """The message names the places that are looked at."""
    with pytest.raises(Rejected) as rejected:
        record_of(account_id=None, user_id=None)
    assert rejected.value.code == "account_missing"
    assert "context.groupId" in rejected.value.message


def test_an_account_id_has_at_most_255_bytes() -> None:
    """Bytes, not characters: an index has to hold it."""
    assert record_of(account_id="ü" * 127).account_id == "ü" * 127
    with pytest.raises(Rejected) as rejected:
        record_of(account_id="ü" * 128)
    assert rejected.value.code == "id_too_long"


@pytest.mark.parametrize("account_id", ["acme", None])
def test_a_record_that_would_spoil_a_produce_batch_is_not_made(account_id: str | None) -> None:
    """Short as it came, an event may be long as it is written anew: 1e15 becomes sixteen digits and a fraction."""
    body = msgspec.json.encode(msgspec.json.decode(b"[%b1]" % (b"1e15," * 20_000)))
    assert len(body) > RECORD_BYTES_MAX
    event = IncomingEvent("track", body, account_id, "u-1", "X", "m-1", None, None)
    with pytest.raises(Rejected) as rejected:
        new_builder().build(event, Arrival("k1", "/v1/batch", NOW, None), NOBODY)
    assert rejected.value.code == "event_too_large"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-14:00", 1e300, -1e15])
def test_an_unreadable_time_rejects_its_event(text: str | float) -> None:
    """Inventing another time would be worse."""
    with pytest.raises(Rejected) as rejected:
        record_of(timestamp=text)
    assert rejected.value.code == "timestamp_invalid"


@pytest.mark.parametrize("sent_at", ["", "yesterday", 1e300])
def test_an_unreadable_sent_at_rejects_nothing(sent_at: str | float) -> None:
    """It stands once in a batch, so the whole batch would be lost for what only helps to find a wrong clock."""
    record = record_of(sent_at=sent_at)
    assert (record.sent_at, record.occurred_at) == (None, datetime(2026, 11, 20, 9, 59, tzinfo=UTC))


def test_a_retry_without_a_message_id_gets_the_same_id() -> None:
    """If the event has a time of its own its bytes tell it; without one nothing could, so each gets a new id."""
    first, again = (record_of(message_id=None, received_at=NOW + timedelta(hours=hour)) for hour in (0, 1))
    other = record_of(message_id=None, body=b'{"event":"Y"}')
    assert first.message_id == again.message_id != other.message_id
    assert first.flags == ("no_message_id",)
    timeless = [record_of(message_id=None, timestamp=None) for _ in range(2)]
    assert timeless[0].message_id != timeless[1].message_id
    assert timeless[0].flags == ("no_timestamp", "no_message_id")


def test_new_ids_are_uuids_of_version_7_in_order_of_time() -> None:
    """Variant and version bits are where the standard puts them."""
    made = new_message_id()
    assert made[14] == "7"
    assert made[19] in "89ab"
    assert new_message_id()[:13] >= made[:13]


def test_the_record_keeps_all_times_and_the_body() -> None:
    """Original, sent, received and occurred, with the client's object spliced in as it was."""
    record = record_of(body=b'{"event" :  "X"}', sent_at="2026-11-20T09:59:30Z")
    assert bytes(record.body) == b'{"event" :  "X"}'
    assert (record.v, record.source, record.received_at) == (1, "k1", NOW)
    assert record.original_at == record.occurred_at == datetime(2026, 11, 20, 9, 59, tzinfo=UTC)
    assert record.sent_at == datetime(2026, 11, 20, 9, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("user_id", "email", "is_staff"),
    [
        ("u-1", "Dana@Vendor.Example", True),
        ("cron-nightly", None, True),
        ("u-1", "kim@acme.example", False),
        (None, None, False),
        ("u-1", 5, False),
    ],
)
def test_the_vendor_s_own_people_are_stamped(user_id: str | None, email: Any, is_staff: bool) -> None:
    """Globs on user id and e-mail; case does not matter."""
    record = record_of(staff=("*@vendor.example", " cron-* ", ""), user_id=user_id, email=email)
    assert record.staff is is_staff


@pytest.mark.parametrize(
    ("trait", "role"), [("champion", "champion"), (" it ", "it"), ("", None), (5, None), (None, None)]
)
def test_a_role_is_text(trait: Any, role: str | None) -> None:
    """Anything else is no role."""
    assert record_of(role=trait).role == role


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.integers(1, 64))
def test_keys_go_where_java_clients_put_them(key: str, partitions: int) -> None:
    """The library's partitioner is the reference."""
    encoded, partition = partitioner(partitions)(key)
    assert partition == DefaultPartitioner()(encoded, list(range(partitions)), [])


def test_the_longest_ids_do_not_fill_the_memory() -> None:
    """All that keep partitions of ids keep them together: in 48 MiB, were each as long as it may be."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(3_000):
        partitioner(65)(f"{number % 1_000:0>{ID_BYTES_MAX}}")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 500 < (after - before) / 1_000 < 48 * 1_048_576 / KEPT_IDS_MAX


@given(st.dictionaries(st.integers(0, 500), st.integers(0, 2**62)))
def test_positions_survive_the_way_to_the_client_and_back(offsets: dict[int, int]) -> None:
    """Opaque, but lossless."""
    assert decode_position(encode_position(offsets)) == offsets


def test_a_dead_letter_says_why_and_whence() -> None:
    """In headers, so that the value stays what was received."""
    rejected = Rejected("account_missing", "Say whose.")
    headers = dict(dead_letter_headers(rejected, Arrival("k1", "/v1/batch", NOW, None)))
    assert headers == {
        "reason": b"account_missing",
        "message": b"Say whose.",
        "source": b"k1",
        "route": b"/v1/batch",
        "received_at": b"2026-11-20T10:00:00+00:00",
    }


def test_a_record_is_what_the_contract_says() -> None:
    """Absent values are left out, so that records stay small."""
    builder = new_builder()
    event = IncomingEvent("command", b"{}", 5, None, "set", "m", None, None)
    built = builder.build(event, Arrival("k1", "/v1/batch", NOW, "00-" + "a" * 52), None)
    assert built.product is not None
    value = msgspec.json.decode(built.product.value)
    assert value == {
        "v": 1,
        "source": "k1",
        "message_id": "m",
        "type": "command",
        "account_id": "5",
        "received_at": "2026-11-20T10:00:00Z",
        "occurred_at": "2026-11-20T10:00:00Z",
        "body": {},
        "event": "set",
        "flags": ["no_timestamp"],
        "traceparent": "00-" + "a" * 52,
        "resolved_by": "command",
    }


def incoming(type_: str, account_id: str | None) -> IncomingEvent:
    """An event of user u-1."""
    return IncomingEvent(type_, b"{}", account_id, "u-1", "X", "m-1", None, None)  # type: ignore[arg-type]


def test_a_user_who_could_not_be_asked_for_is_not_known_by_what_one_batch_says() -> None:
    """The group call counts for its account; what follows waits for the resolver, which knows of other accounts."""
    builder, arrival = new_builder(), Arrival("k1", "/v1/batch", NOW, None)
    group = builder.build(incoming("group", "acme"), arrival, None)
    assert group.product is not None
    assert group.unresolved
    track = builder.build(incoming("track", None), arrival, group.person)
    assert track.product is None
    [record] = track.unresolved
    assert record.key == group.unresolved[0].key


@pytest.mark.parametrize(
    ("fields", "by"),
    [
        ({"account_id": "acme"}, "context.groupId"),
        ({"account_id": "acme", "type": "group", "event": None}, "group"),
        ({"account_id": "acme", "type": "command", "event": "resume", "user_id": None}, "command"),
        ({"document": {"properties": {"$groups": {"company": "acme"}}}}, "properties.$groups.company"),
        ({"document": {"properties": {"account_id": "acme"}}}, "properties.account_id"),
        ({"account_fallbacks": (("partitionkey", None), ("subject", "acme"))}, "subject"),
    ],
)
def test_a_record_says_what_named_its_account(fields: dict[str, Any], by: str) -> None:
    """As it was decided, which cannot be guessed from the values afterwards."""
    record = record_of(**{"account_id": None, **fields})
    assert (record.account_id, record.resolved_by) == ("acme", by)


def test_a_record_says_that_its_user_named_the_account() -> None:
    """By what was learned of it."""
    event = IncomingEvent("track", b"{}", None, "u-1", "X", "m-1", None, None)
    built = new_builder().build(event, Arrival("k1", "/v1/batch", NOW, None), Person(("acme",)))
    assert built.product is not None
    assert decode_product_event(built.product.value).resolved_by == "user"
