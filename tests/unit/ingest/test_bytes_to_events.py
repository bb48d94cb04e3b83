"""Any bytes, and real payloads damaged in every way: events that are safe to keep, or refusals that say why."""

from __future__ import annotations

import json
from collections.abc import Collection, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.product_event import decode_product_event
from schemas.unresolved_event import decode_unresolved_event
from services.ingest.accounts import AccountRules, is_placeholder
from services.ingest.client_addresses import ClientAddresses
from services.ingest.dialects.by_form import UNPACK
from services.ingest.dialects.unpacked import Request
from services.ingest.directory.person import NOBODY, Person
from services.ingest.events import ID_BYTES_MAX, BodyInvalid
from services.ingest.json_paths import parse_paths
from services.ingest.partitions import partitioner
from services.ingest.people import StaffRule
from services.ingest.processing import DEAD_LETTER_BYTES_MAX, EventProcessor, Processed, Topics
from services.ingest.records import Arrival, RecordBuilder
from services.ingest.redaction import Redaction, Redactor
from services.ingest.routes import ROUTE_BY_PATH, Form
from services.ingest.settings import IngestSettings
from services.runtime import strict_json

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ARRIVAL = Arrival("k1", "/v1/batch", NOW, None)


class Directory:
    """It knows nobody."""

    async def find(self, users: Collection[str]) -> dict[str, Person]:
        return dict.fromkeys(users, NOBODY)


def new_processor() -> EventProcessor:
    """As ingest has it by default."""
    directory: Any = Directory()
    builder = RecordBuilder(
        partitions=3,
        place=partitioner(3),
        staff=StaffRule(("*@vendor.example",)),
        historical_age=timedelta(days=7),
        accounts=AccountRules(group_types=("company",), paths=parse_paths("properties.account_id")),
    )
    return EventProcessor(
        builder=builder,
        people=directory,
        addresses=ClientAddresses(parse_paths(IngestSettings().address_paths)),
        topics=Topics(events="events", unresolved="unresolved", dead="dead", partitions=3),
    )


PROCESSOR = new_processor()
REDACTORS = (
    None,
    Redactor(
        Redaction(
            drop=("properties.url", "context.library", "traits.phone", "data"),
            hash=("userId", "distinct_id", "userid", "subject", "context.groupId", "context.traits", "properties.a"),
        ),
        secret="s",
    ),
)

# What the parsers of other stacks let through, and what clients get wrong.
HOSTILE = (
    *(b'"\\u0000"', b'"\\ud800"', b"NaN", b"Infinity", b"1e400", b"-1e999", b"9223372036854775808", b"01", b"'x'"),
    *(b"[" * 40 + b"]" * 40, b'{"a":' * 33 + b"1" + b"}" * 33, b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}'),
    *(b"\xff\xfe{\x00}\x00", b"\xc3\x28", b'"' + b"x" * 3_000 + b'"', b'""', b'"null"', b"0", b"true", b"[]", b"{}"),
    # In a field of an event this is as deep as may be.
    b"[" * 31 + b"]" * 31,
)
FIELDS = (
    "type",
    "event",
    "userId",
    "groupId",
    "context",
    "properties",
    "batch",
    "distinct_id",
    "command",
    "data",
    "id",
)
PLAIN = st.sampled_from(["track", "group", "acme", "u-1", "2026-11-20T10:00:00Z", "1.0"]) | st.integers() | st.none()
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
BODIES = VALUES | st.binary(max_size=60) | VALUES.map(lambda value: b'{"batch":[' + value + b"]}")
CLOUD_HEADERS: tuple[dict[bytes, bytes], ...] = (
    {b"content-type": b"application/cloudevents+json"},
    {b"content-type": b"application/cloudevents-batch+json"},
    {b"ce-specversion": b"1.0", b"ce-type": b"x", b"ce-source": b"s", b"ce-id": b"\xff", b"ce-subject": b"acme"},
    {},
)


# Captured from the runs of tests/clients, inflated, with the key blanked.
PAYLOADS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "payloads").glob("*.json"))
}
SPLINTERS = [
    *(b"\0", b"\\u0000", b"\\ud800", b"\xff", b"\xc3", b"1e999", b"-", b"NaN", b"9" * 25, b"{", b"}", b"[", b"]", b'"'),
    *(b",", b":", b"\\", b'"batch":', b'"a":1,"a":2,', b"null", b"true", b"[" * 60, b"{" * 60),
]
# Stands for the value that is put in, which no encoder may write.
_PLACE = "a value in this place"


def at_once(work: Coroutine[Any, Any, Processed]) -> Processed:
    """What it returns, waiting for nobody."""
    while True:
        try:
            work.send(None)
        except StopIteration as returned:
            processed: Processed = returned.value
            return processed


def processed_from(
    form: Form,
    body: bytes,
    headers: dict[bytes, bytes],
    type_: str | None = "track",
    redactor: Redactor | None = None,
) -> Processed:
    """What becomes of a body: records that are safe, and errors that can be told; nothing is raised."""
    request = Request(type_, headers, NOW, lambda _: True, 100, 65_536, 5_242_880, ("company",))
    try:
        unpacked = UNPACK[form](body, request)
    except BodyInvalid as invalid:
        check_words(invalid.message)
        return Processed({"events": [], "unresolved": [], "dead": []})
    processed = at_once(PROCESSOR.process(unpacked, ARRIVAL, redactor))
    assert processed.resolved + processed.unresolved + len(processed.errors) == len(unpacked.items)
    for record in processed.records["events"]:
        check_safe(decode_product_event(record.value))
    for record in processed.records["unresolved"]:
        check_safe(decode_unresolved_event(record.value))
    for record in processed.records["dead"]:
        assert len(record.value) <= DEAD_LETTER_BYTES_MAX
    for error in processed.errors:
        check_words(error.message)
    return processed


def processed_as(payload: dict[str, Any], body: bytes, redactor: Redactor | None = None) -> Processed:
    """The same for a body in the place of a captured one."""
    route = ROUTE_BY_PATH[payload["path"]]
    headers = {name.lower().encode(): value.encode() for name, value in payload["headers"].items()}
    return processed_from(route.form, body, headers, route.type, redactor)


def check_words(message: str) -> None:
    """A refusal says what to do, shortly, and not in the words of a library."""
    assert len(message) < 500
    assert message.endswith((".", "?"))
    assert "Expected `" not in message


def check_safe(event: Any) -> None:
    """Nothing in it that a database, a partition or another account would suffer from."""
    for id_ in (event.account_id, event.user_id, event.message_id):
        if id_ is not None:
            assert 0 < len(id_.encode()) <= ID_BYTES_MAX
            assert "\0" not in id_
    assert event.account_id is None or not is_placeholder(event.account_id)
    # A person may be erased whatever it is called.
    assert event.user_id is None or event.type == "command" or not is_placeholder(event.user_id)
    assert event.occurred_at - NOW <= timedelta(minutes=5)
    strict_json.decode(bytes(event.body))


@pytest.mark.parametrize("form", list(Form))
@given(body=BODIES, headers=st.sampled_from(CLOUD_HEADERS), redactor=st.sampled_from(REDACTORS))
def test_any_bytes_become_safe_events_or_refusals(
    form: Form, body: bytes, headers: dict[bytes, bytes], redactor: Redactor | None
) -> None:
    """Whatever is sent to whichever dialect, and whatever of it must not be told."""
    processed_from(form, body, headers, redactor=redactor)


@pytest.mark.parametrize("hostile", HOSTILE[:8], ids=range(8))
@pytest.mark.parametrize("form", [Form.SEGMENT_BATCH, Form.SEGMENT_CALL, Form.POSTHOG], ids=lambda form: form.value)
def test_a_hostile_value_anywhere_refuses_its_event(form: Form, hostile: bytes) -> None:
    """And none of its neighbours."""
    good = b'{"type":"track","event":"X","userId":"u","distinct_id":"u","properties":{"account_id":"acme"},"x":%b}'
    if form is Form.SEGMENT_CALL:
        assert processed_from(form, good % hostile, {}).resolved == 0
        return
    body = b'{"batch":[%b,%b]}' % (good % b"1", good % hostile)
    assert processed_from(form, body, {}).resolved == 1


def test_there_is_a_payload_of_every_dialect() -> None:
    """A check of nothing would pass."""
    paths = {payload["path"].rstrip("/") for payload in PAYLOADS.values()}
    assert {"/v1/batch", "/v1/t", "/batch", "/v1/events", "/v1/commands"} <= paths


@pytest.mark.parametrize("name", PAYLOADS)
def test_undamaged_payloads_are_events_of_their_account(name: str) -> None:
    """Every event of them, except those that say nothing of an account."""
    payload = PAYLOADS[name]
    whole = [json.loads(line) for line in payload["body"].splitlines()]
    inside = whole[0].get("batch", whole) if isinstance(whole[0], dict) else whole[0]
    for redactor in REDACTORS:
        processed = processed_as(payload, payload["body"].encode(), redactor)
        assert processed.resolved + processed.unresolved == len(inside)
    records = processed_as(payload, payload["body"].encode()).records["events"]
    assert {decode_product_event(record.value).account_id for record in records} == {"acme"}


@pytest.mark.parametrize("name", PAYLOADS)
@given(data=st.data())
def test_damaged_bytes_become_safe_events_or_refusals(name: str, data: st.DataObject) -> None:
    """Bytes changed, cut, put in and doubled anywhere."""
    body = bytearray(PAYLOADS[name]["body"].encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["set", "cut", "insert", "double"])):
            case "set":
                body[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case "cut":
                del body[at : at + data.draw(st.integers(1, 60))]
            case "insert":
                body[at:at] = data.draw(st.sampled_from(SPLINTERS))
            case "double":
                body[at:at] = body[at : at + 40]
    processed_as(PAYLOADS[name], bytes(body), data.draw(st.sampled_from(REDACTORS)))


@pytest.mark.parametrize("name", PAYLOADS)
def test_any_value_in_any_place_becomes_a_safe_event_or_a_refusal(name: str) -> None:
    """Each value of a payload in turn is each hostile one, or missing."""
    body = PAYLOADS[name]["body"].splitlines()
    for number in range(len(places([json.loads(line) for line in body]))):
        value = [json.loads(line) for line in body]
        place, key = places(value)[number]
        place[key] = _PLACE
        text = "\n".join(json.dumps(line) for line in value).encode()
        for hostile, redactor in product(HOSTILE, REDACTORS):
            processed_as(PAYLOADS[name], text.replace(json.dumps(_PLACE).encode(), hostile), redactor)
        del place[key]
        processed_as(PAYLOADS[name], "\n".join(json.dumps(line) for line in value).encode())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a value."""
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in keys for place in ((value, key), *places(inner))]
