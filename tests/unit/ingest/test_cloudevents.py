"""CloudEvents 1.0: the three modes of the HTTP binding, to events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.ingest.events import BodyInvalid, IncomingEvent, Rejected
from services.ingest.routes import Form
from tests.unit.ingest.reading import account_of, read_all, read_one

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "9f2c",
    "source": "/reports",
    "type": "report.generated",
    "subject": "acme",
    "time": "2026-11-20T10:00:00Z",
    "datacontenttype": "application/json",
    "userid": "kim",
    "data": {"rows": 120},
}
HEADERS = {f"ce-{name}": value for name, value in EVENT.items() if name not in ("data", "datacontenttype")}


def read(**changes: Any) -> IncomingEvent:
    """The event with these changes, structured."""
    return read_one(Form.CLOUDEVENTS, {**EVENT, **changes})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (EVENT, {"content-type": "application/cloudevents+json; charset=UTF-8"}),
        (EVENT, {"content-type": "application/json"}),
        (EVENT, {}),
        ([EVENT], {"content-type": "application/cloudevents-batch+json"}),
        ([EVENT], {}),
        (EVENT["data"], {"content-type": "application/json", **HEADERS}),
        (EVENT["data"], HEADERS),
    ],
)
def test_the_three_modes_give_the_same_event(body: Any, headers: dict[str, str]) -> None:
    """The data is what plans know as properties, the attributes stay."""
    event = read_one(Form.CLOUDEVENTS, body, headers=headers)
    assert (event.type, event.event, event.user_id) == ("track", "report.generated", "kim")
    assert (event.message_id, event.timestamp) == ("/reports#9f2c", "2026-11-20T10:00:00Z")
    assert account_of(event) == "acme"
    stored = json.loads(event.body)
    assert stored["properties"] == {"rows": 120}
    assert (stored["id"], stored["source"], stored["subject"]) == ("9f2c", "/reports", "acme")


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({"partitionkey": "p", "data": {"account_id": "d"}}, "d"),
        ({"partitionkey": "p"}, "p"),
        ({"partitionkey": None}, "acme"),
    ],
)
def test_the_account_is_named_by_data_partition_key_or_subject(changes: dict[str, Any], account: str) -> None:
    """In this order."""
    assert account_of(read(**changes)) == account


@pytest.mark.parametrize(
    ("changes", "user"),
    [
        ({}, "kim"),
        ({"userid": None, "authtype": "user", "authid": "a"}, "a"),
        ({"userid": None, "authtype": "service_account", "authid": "a"}, None),
        ({"userid": None, "data": {"user_id": "d"}}, "d"),
        ({"userid": "null"}, None),
    ],
)
def test_the_person_is_an_extension_or_in_the_data(changes: dict[str, Any], user: str | None) -> None:
    """Services are no persons."""
    assert read(**changes).user_id == user


def test_ids_of_different_sources_are_different() -> None:
    """The specification makes `id` unique only together with `source`; both fit together or are hashed."""
    assert read(source="/other").message_id != read().message_id
    long = read(source="s" * 300).message_id
    assert long is not None
    assert len(long) < 40


def test_headers_are_percent_encoded_utf_8() -> None:
    """As the HTTP binding has it."""
    event = read_one(Form.CLOUDEVENTS, {}, headers={**HEADERS, "ce-subject": "K%C3%B6ln%20AG"})
    assert account_of(event) == "Köln AG"
    for bad in ("%00", "%FF"):
        with pytest.raises(Rejected):
            read_one(Form.CLOUDEVENTS, {}, headers={**HEADERS, "ce-subject": bad})


@pytest.mark.parametrize(
    ("header", "account"),
    [
        ('"acme"', "acme"),
        (r'"K%C3%B6ln \"AG\" \\ x"', 'Köln "AG" \\ x'),
        ("%22acme%22", '"acme"'),
        ('"acme', '"acme'),
        (r'"acme\"', r'"acme\"'),
    ],
)
def test_a_quoted_header_says_what_is_in_the_quotes(header: str, account: str) -> None:
    """Older clients quote instead of percent-encoding; a quote that does not end is a character."""
    assert account_of(read_one(Form.CLOUDEVENTS, {}, headers={**HEADERS, "ce-subject": header})) == account


def test_data_that_is_no_json_is_kept_as_it_is() -> None:
    """That it happened can be enough."""
    event = read_one(Form.CLOUDEVENTS, b"<a/>", headers={**HEADERS, "content-type": "text/xml"})
    assert json.loads(event.body)["data_base64"] == "PGEvPg=="
    assert read_one(Form.CLOUDEVENTS, b"", headers=HEADERS).event == "report.generated"
    assert read(data=[1]).event == "report.generated"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"specversion": "0.3"}, "specversion_unsupported"),
        ({"specversion": None}, "specversion_unsupported"),
        ({"id": ""}, "attribute_missing"),
        ({"source": None}, "attribute_missing"),
        ({"type": None}, "attribute_missing"),
        ({"type": "t" * 256}, "id_too_long"),
        ({"time": 17}, "event_invalid"),
        ({"data": {"x": float("nan")}}, "json_invalid"),
        ({"data": "y" * 66_000}, "event_too_large"),
    ],
)
def test_a_bad_event_is_rejected_alone(changes: dict[str, Any], code: str) -> None:
    """Its neighbours are taken."""
    first, second, third = read_all(Form.CLOUDEVENTS, [EVENT, {**EVENT, **changes}, EVENT])
    assert isinstance(first, IncomingEvent)
    assert isinstance(third, IncomingEvent)
    assert isinstance(second, Rejected)
    assert second.code == code


def test_an_event_of_another_kind_is_told_where_it_belongs() -> None:
    """The address sounds as if it took any event."""
    [refused] = read_all(Form.CLOUDEVENTS, {"event": "E", "userId": "u", "context": {"groupId": "acme"}})
    assert isinstance(refused, Rejected)
    assert "/v1/track" in refused.message


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"<a/>", "application/cloudevents+xml", 415, "format_unsupported"),
        (b"[]", "application/cloudevents-batch+json", 400, "batch_empty"),
        (b"{}", "application/cloudevents-batch+json", 400, "batch_invalid"),
        (b" ", "application/json", 400, "body_empty"),
    ],
)
def test_a_body_that_is_no_event_is_refused(body: bytes, content_type: str, status: int, code: str) -> None:
    """As a whole."""
    with pytest.raises(BodyInvalid) as refused:
        read_all(Form.CLOUDEVENTS, body, headers={"content-type": content_type})
    assert (refused.value.status, refused.value.code) == (status, code)
