"""Every record becomes an event, a tick, or poison with a reason; nothing that a producer writes raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.activation_engine.decoder import Poison, Reason, TickInput, decode_record
from services.activation_engine.domain.event import Event
from tests.fakes.engine_records import event_value


@dataclass
class Sent:
    """A record as the consumer hands it over."""

    value: bytes | None
    key: bytes | None = b"acme"
    offset: int = 3
    timestamp: int = 1_000


def changed(**changes: Any) -> bytes:
    """A valid value with some of its members changed."""
    return msgspec.json.encode({**msgspec.json.decode(event_value("acme", "Opened", "m1", at_ms=900)), **changes})


def test_a_product_event_keeps_its_values() -> None:
    """Times become milliseconds, the append time is the record's own."""
    event = decode_record(Sent(changed(role="champion", staff=True, body={"properties": {"rows": 3}})))
    assert isinstance(event, Event)
    assert (event.account_id, event.name, event.message_id, event.user_id) == ("acme", "Opened", "m1", "user-of-acme")
    assert (event.occurred_at_ms, event.received_at_ms, event.appended_at_ms) == (900, 900, 1_000)
    assert (event.role, event.staff, event.client()) == ("champion", True, {"properties": {"rows": 3}})


def test_a_record_without_key_is_a_tick() -> None:
    """With or without any event known to its sender."""
    known = b'{"v":1,"sent_at":"1970-01-01T00:00:02Z","last_event_at":"1970-01-01T00:00:01Z"}'
    assert decode_record(Sent(known, key=None)) == TickInput(2_000, 1_000)
    assert decode_record(Sent(b'{"v":1,"sent_at":"1970-01-01T00:00:02Z"}', key=None)) == TickInput(2_000, None)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Sent(None), Reason.NO_VALUE),
        (Sent(None, key=None), Reason.NO_VALUE),
        (Sent(b"{"), Reason.NOT_VALID),
        (Sent(b"\xff\xfe"), Reason.NOT_VALID),
        (Sent(b"[]", key=None), Reason.NOT_VALID),
        (Sent(b'{"v":1}'), Reason.NOT_VALID),
        (Sent(changed(body=None).replace(b"null", b"[" * 3_000)), Reason.NOT_VALID),
        (Sent(changed(occurred_at="yesterday")), Reason.NOT_VALID),
        (Sent(changed(occurred_at="9999-12-31T23:59:59Z")), Reason.NOT_VALID),
        (Sent(changed(received_at="2200-01-01T00:00:00Z")), Reason.NOT_VALID),
        (Sent(changed(v=2)), Reason.UNKNOWN_VERSION),
        (Sent(b'{"v":2,"account_id":5}'), Reason.UNKNOWN_VERSION),
        (Sent(b'{"v":9,"sent_at":"1970-01-01T00:00:02Z"}', key=None), Reason.UNKNOWN_VERSION),
        (Sent(changed(), key=b"other"), Reason.KEY_MISMATCH),
        (Sent(changed(account_id=""), key=b""), Reason.ID_INVALID),
        (Sent(changed(account_id="a" * 256), key=b"a" * 256), Reason.ID_INVALID),
        (Sent(changed(user_id="é" * 128)), Reason.ID_INVALID),
        (Sent(changed(event="x" * 256)), Reason.ID_INVALID),
        (Sent(changed(message_id="m\0")), Reason.NUL_TEXT),
        (Sent(changed(body={"traits": {"na\0me": 1}})), Reason.NUL_TEXT),
        (Sent(changed(body={"list": [{"deep": "\0"}]})), Reason.NUL_TEXT),
        (Sent(changed(type="command", event="explode")), Reason.UNKNOWN_COMMAND),
    ],
)
def test_poison_has_a_reason(record: Sent, reason: Reason) -> None:
    """What can never be applied says why."""
    poison = decode_record(record)
    assert isinstance(poison, Poison)
    assert poison.reason is reason
    assert poison.detail


@pytest.mark.parametrize(
    "value", [changed(account_id="a" * 255), changed(event="é" * 127), changed(body={"text": "a \\u0000 that is none"})]
)
def test_the_longest_ids_and_escaped_backslashes_pass(value: bytes) -> None:
    """A limit counts bytes and includes itself; a backslash before u0000 is text."""
    account_id = msgspec.json.decode(value)["account_id"]
    assert isinstance(decode_record(Sent(value, key=account_id.encode())), Event)


@given(st.binary(max_size=200), st.one_of(st.none(), st.binary(max_size=8)))
def test_no_bytes_raise(value: bytes, key: bytes | None) -> None:
    """Whatever the bytes."""
    decode_record(Sent(value, key=key))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_envelope_raises(body: Any) -> None:
    """Whatever the client's object and however the members are mixed up."""
    for member in ("body", "event", "user_id", "v", "account_id", "occurred_at", "staff"):
        decode_record(Sent(changed(**{member: body})))
