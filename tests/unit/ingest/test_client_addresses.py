"""No event is kept with the whole address of its client, in whichever dialect it says it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.client_addresses import ClientAddresses, truncated
from services.ingest.json_paths import parse_paths
from services.ingest.redaction import Redaction, Redactor
from services.ingest.routes import Form
from services.ingest.settings import IngestSettings
from tests.unit.ingest.reading import unpacked

WHOLE = "198.51.100.77"
SHORT = "198.51.100.0"
TRACK = {"type": "track", "event": "E", "userId": "u"}
ADDRESSES = ClientAddresses(parse_paths(IngestSettings().address_paths))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (WHOLE, SHORT),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        (f"::ffff:{WHOLE}", SHORT),
        ("2002:c633:644d::1", SHORT),
        (f"{WHOLE}, 10.1.2.3", f"{SHORT}, 10.1.2.0"),
        ("0.0.0.0", "0.0.0.0"),
        (f"{WHOLE}:443", None),
        ("unknown", None),
        (3325256781, None),
        ([WHOLE], None),
        (None, None),
    ],
)
def test_what_is_kept_of_an_address(value: Any, kept: str | None) -> None:
    """Its network; nothing of what is no address, which may hold one in another way of writing."""
    assert truncated(value) == kept


@given(st.ip_addresses())
def test_an_address_is_truncated_once(address: Any) -> None:
    """An event that is sent again, or goes through two ingests, stays the same."""
    once = truncated(str(address))
    assert once is not None
    assert truncated(once) == once


@pytest.mark.parametrize(
    ("form", "body", "options"),
    [
        (Form.SEGMENT_CALL, {**TRACK, "context": {"ip": WHOLE}}, {"type_": "track"}),
        (Form.SEGMENT_CALL, {**TRACK, "request_ip": WHOLE}, {"type_": "track"}),
        (
            Form.SEGMENT_CALL,
            b'{"event":"E","userId":"u","context":{"\\u0069p":"%b"}}' % WHOLE.encode(),
            {"type_": "track"},
        ),
        (Form.SEGMENT_BATCH, {"batch": [TRACK], "context": {"ip": WHOLE}}, {}),
        (Form.SEGMENT_BATCH, {"batch": [{**TRACK, "writeKey": "fv_KEY", "context": {"ip": WHOLE}}]}, {}),
        (Form.POSTHOG, {"event": "E", "distinct_id": "u", "api_key": "fv_KEY", "properties": {"$ip": WHOLE}}, {}),
        (
            Form.CLOUDEVENTS,
            {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"$ip": WHOLE}},
            {"headers": {"content-type": "application/cloudevents+json"}},
        ),
    ],
)
def test_an_event_keeps_the_network_alone(form: Form, body: Any, options: dict[str, Any]) -> None:
    """The rest of it stays as it was; a text that is written anew holds no API key."""
    parts = unpacked(form, body, **options)
    event = parts.read(parts.items[0])
    ADDRESSES.truncate(event, parts.key)
    assert SHORT in event.body.decode()
    for gone in (WHOLE, "fv_KEY"):
        assert gone not in event.body.decode()
        assert gone not in str({**(event.document or {}), "api_key": "", "writeKey": ""})


def test_what_names_no_address_is_not_written_anew() -> None:
    """The client's own object is kept byte for byte; other fields may hold what looks like an address."""
    body = b'{"event" : "E", "userId": "u", "properties": {"ip": "%b", "caf\\u00e9": 1.0}}' % WHOLE.encode()
    parts = unpacked(Form.SEGMENT_CALL, body, type_="track")
    event = parts.read(parts.items[0])
    ADDRESSES.truncate(event, None)
    assert event.body == body
    ClientAddresses(()).truncate(event, None)
    assert ClientAddresses(()).blank(body) == body


def test_a_hash_of_the_address_is_kept() -> None:
    """Redaction comes first: a source that hashes its clients' addresses can still tell them apart."""
    parts = unpacked(Form.SEGMENT_BATCH, {"batch": [TRACK], "context": {"ip": WHOLE}})
    event = parts.read(parts.items[0])
    Redactor(Redaction(hash=("context.ip",)), secret="s").event(event)
    ADDRESSES.truncate(event, None)
    assert json.loads(event.body)["context"]["ip"].startswith("hash:")


@pytest.mark.parametrize(
    "value", [f'"{WHOLE}"', f'"{WHOLE}', f'["{WHOLE}", "10.1.2.3"]', f'["{WHOLE}"', "3325256781", f'{{"v4":"{WHOLE}"']
)
def test_a_refused_event_keeps_no_address(value: str) -> None:
    """Also where it is no JSON, or cut off: nothing tells then where the value ends."""
    kept = ADDRESSES.blank(f'{{"context":{{"ip" : {value}'.encode())
    assert kept == b'{"context":{"ip" : ""'


@pytest.mark.parametrize(
    "item",
    [
        '{"ip":{"v4":"%s"}}',
        '{"\\u0069p":"%s"}',
        '{"\\u0069\\u0070":"%s"',
        '{"\\u0024ip":"%s"',
        '{"ip":["]","%s"]}',
        '{"ip":"%s","ip":"10.1.2.3"}',
        '{"context":{"ip":"%s"},"context":{}}',
        '{"batch":[[{"request_ip":"%s"}]]}',
        "{ip: '%s'}",
        "{'$ip': '%s'}",
    ],
)
def test_a_refused_event_keeps_no_address_however_it_is_written(item: str) -> None:
    """Escaped, nested, twice, or nearly JSON."""
    kept = ADDRESSES.blank((item % WHOLE).encode())
    assert WHOLE not in kept.decode()
    # Keys are blanked afterwards, where escapes would hide their names.
    assert b'"writeKey"' in ADDRESSES.blank(b'{"ip":"1","\\u0077riteKey":"k"}')


def test_a_refused_event_without_an_address_is_kept_as_it_is() -> None:
    """Who corrects it sees what was sent; names that only end like one are others."""
    item = b'{"event" : "ip", "zip": "1", "a":1, "a":2, "tip": [01]'
    assert ADDRESSES.blank(item) == item


@given(
    st.recursive(
        st.text() | st.integers(0, 9) | st.just(WHOLE),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["ip", "$ip", "a"]), inner),
    ),
    st.sampled_from(["ip", "request_ip", "$ip"]),
    st.booleans(),
)
def test_nothing_below_the_name_of_an_address_is_left(value: Any, name: str, is_cut: bool) -> None:
    """Whatever stands there."""
    item = json.dumps({"a": 1, name: [value, WHOLE]}).encode()
    assert WHOLE not in ADDRESSES.blank(item[:-1] if is_cut else item).decode()
