"""Any bytes, through every dialect: an event that is safe to keep, or a refusal that says why; never anything else."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.product_event import decode_product_event
from schemas.unresolved_event import decode_unresolved_event
from services.ingest.accounts import AccountRules, is_placeholder
from services.ingest.dialects.by_form import UNPACK
from services.ingest.dialects.unpacked import Request
from services.ingest.directory.person import NOBODY
from services.ingest.events import ID_BYTES_MAX, BodyInvalid, Rejected
from services.ingest.json_paths import parse_paths
from services.ingest.partitions import partitioner
from services.ingest.people import StaffRule
from services.ingest.records import Built, Origin, RecordBuilder
from services.ingest.routes import Form
from services.runtime import strict_json

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
BUILDER = RecordBuilder(
    partitions=3,
    place=partitioner(3),
    place_user=partitioner(3),
    staff=StaffRule(("*@vendor.example",)),
    historical_age=timedelta(days=7),
    accounts=AccountRules(group_types=("company",), paths=parse_paths("properties.account_id")),
)

# What the parsers of other stacks let through, and what clients get wrong.
HOSTILE = (
    *(b'"\\u0000"', b'"\\ud800"', b"NaN", b"Infinity", b"1e400", b"-1e999", b"9223372036854775808", b"01", b"'x'"),
    *(b"[" * 40 + b"]" * 40, b'{"a":' * 33 + b"1" + b"}" * 33, b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}'),
    *(b"\xff\xfe{\x00}\x00", b"\xc3\x28", b'"' + b"x" * 3_000 + b'"', b'""', b'"null"', b"0", b"true", b"[]", b"{}"),
)
FIELDS = (
    *("type", "event", "userId", "anonymousId", "groupId", "previousId", "messageId", "timestamp", "sentAt"),
    *("context", "properties", "traits", "batch", "writeKey", "distinct_id", "$groups", "uuid", "api_key", "role"),
    *("command", "account_id", "user_id", "id", "source", "specversion", "subject", "partitionkey", "time", "data"),
    *("data_base64", "until"),
)
WORDS = ["track", "group", "identify", "acme", "u-1", "2026-11-20T10:00:00Z", "1.0", "set", "erase", "pause"]
PLAIN = st.sampled_from(WORDS) | st.integers() | st.none() | st.text(max_size=5)
VALUES = st.recursive(
    st.sampled_from(HOSTILE) | PLAIN.map(lambda value: json.dumps(value).encode()),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]")
        | st.lists(st.tuples(st.sampled_from(FIELDS), inner), max_size=6).map(
            lambda pairs: b"{" + b",".join(json.dumps(key).encode() + b":" + value for key, value in pairs) + b"}"
        )
    ),
    max_leaves=12,
)
# A good event of every dialect at once, in which some fields are replaced by anything.
GOOD: dict[str, bytes] = {
    **dict.fromkeys(("event", "type", "command"), b'"track"'),
    **dict.fromkeys(("userId", "distinct_id", "user_id"), b'"u-1"'),
    **dict.fromkeys(("groupId", "account_id", "subject"), b'"acme"'),
    "specversion": b'"1.0"',
    "id": b'"m-1"',
    "source": b'"s"',
    "properties": b'{"account_id":"acme"}',
}
NEARLY_GOOD = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3).map(
    lambda changes: (
        b"{" + b",".join(b'"%b":%b' % (key.encode(), value) for key, value in (GOOD | changes).items()) + b"}"
    )
)
BODIES = (
    NEARLY_GOOD
    | NEARLY_GOOD.map(lambda one: b'{"batch":[' + one + b"]}")
    | VALUES
    | st.binary(max_size=60)
    | VALUES.map(lambda value: b'{"batch":[' + value + b"]}")
)
CLOUD_HEADERS: tuple[dict[bytes, bytes], ...] = (
    {b"content-type": b"application/cloudevents+json"},
    {b"content-type": b"application/cloudevents-batch+json"},
    {b"ce-specversion": b"1.0", b"ce-type": b"x", b"ce-source": b"s", b"ce-id": b"\xff", b"ce-subject": b"acme"},
    {},
)


def records_from(form: Form, body: bytes, headers: dict[bytes, bytes]) -> list[Built]:
    """What becomes of a body: only the two refusals that are answered may be raised."""
    request = Request("track", headers, NOW, lambda _: True, 100, 65_536, ("company",))
    try:
        unpacked = UNPACK[form](body, request)
    except BodyInvalid:
        return []
    built = []
    for item in unpacked.items:
        with suppress(Rejected):
            built.append(BUILDER.build(unpacked.read(item), Origin("k1", NOW, None), NOBODY))
    return built


def check_safe(event: Any) -> None:
    """Nothing in it that a database, a partition or another account would suffer from."""
    for id_ in (event.account_id, event.user_id, event.message_id):
        if id_ is not None:
            assert 0 < len(id_.encode()) <= ID_BYTES_MAX
            assert "\0" not in id_
    assert event.account_id is None or not is_placeholder(event.account_id)
    assert event.occurred_at - NOW <= timedelta(minutes=5)
    strict_json.decode(bytes(event.body))


@pytest.mark.parametrize("form", list(Form))
@given(body=BODIES, headers=st.sampled_from(CLOUD_HEADERS))
def test_any_bytes_become_safe_events_or_refusals(form: Form, body: bytes, headers: dict[bytes, bytes]) -> None:
    """Whatever is sent to whichever dialect."""
    for product, unresolved, _ in records_from(form, body, headers):
        if product is not None:
            check_safe(decode_product_event(product.value))
        for record in unresolved:
            check_safe(decode_unresolved_event(record.value))


@pytest.mark.parametrize("hostile", HOSTILE[:8], ids=range(8))
@pytest.mark.parametrize("form", [Form.SEGMENT_BATCH, Form.SEGMENT_CALL, Form.POSTHOG], ids=lambda form: form.value)
def test_a_hostile_value_anywhere_refuses_its_event(form: Form, hostile: bytes) -> None:
    """And none of its neighbours."""
    good = b'{"type":"track","event":"X","userId":"u","distinct_id":"u","properties":{"account_id":"acme"},"x":%b}'
    if form is Form.SEGMENT_CALL:
        assert records_from(form, good % hostile, {}) == []
        return
    body = b'{"batch":[%b,%b]}' % (good % b"1", good % hostile)
    assert len(records_from(form, body, {})) == 1
