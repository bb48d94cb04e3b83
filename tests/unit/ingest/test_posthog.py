"""The PostHog dialect: what its server SDKs send, to events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.ingest.events import BodyInvalid, IncomingEvent, Rejected
from services.ingest.routes import Form
from tests.unit.ingest.reading import account_of, read_all, read_one, unpacked

CAPTURE: dict[str, Any] = {
    "event": "Report Generated",
    "distinct_id": "kim",
    "uuid": "0199d3a2-7a1e-7c55-9f5e-2d4f4d2b8a10",
    "timestamp": "2026-11-20T10:00:00+00:00",
    "properties": {"rows": 3, "$groups": {"company": "acme"}, "$lib": "posthog-python"},
}


def read(event: dict[str, Any]) -> IncomingEvent:
    """The event of a batch of one."""
    return read_one(Form.POSTHOG, {"api_key": "k", "batch": [event], "sent_at": "2026-11-20T10:00:01Z"})


def test_a_capture_is_a_track_call_with_its_body_untouched() -> None:
    """Its group of the configured type is the account, its uuid the id."""
    event = read(CAPTURE)
    assert (event.type, event.event, account_of(event), event.user_id) == ("track", "Report Generated", "acme", "kim")
    assert (event.message_id, event.timestamp) == (CAPTURE["uuid"], CAPTURE["timestamp"])
    assert event.sent_at == "2026-11-20T10:00:01Z"
    assert json.loads(event.body) == CAPTURE


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "k", **CAPTURE},
        {"token": "k", **CAPTURE},
        [{**CAPTURE, "properties": {**CAPTURE["properties"], "token": "k"}}],
        {"api_key": "k", "batch": [CAPTURE]},
        {"token": "k", "batch": [CAPTURE]},
    ],
)
def test_every_form_holds_its_key_which_does_not_enter_the_log(body: Any) -> None:
    """One event, an array, or a batch, on any of the paths."""
    parts = unpacked(Form.POSTHOG, body)
    assert parts.key == "k"
    event = read_one(Form.POSTHOG, body)
    assert (account_of(event), event.message_id) == ("acme", CAPTURE["uuid"])
    assert b'"k"' not in event.body


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("$pageview", ("page", "page.viewed")),
        ("$screen", ("screen", "screen.viewed")),
        ("$identify", ("identify", None)),
        ("$set", ("identify", None)),
        ("$create_alias", ("alias", None)),
        ("$merge_dangerously", ("alias", None)),
        ("$feature_flag_called", ("identify", "$feature_flag_called")),
        ("$exception", ("identify", "$exception")),
        ("$autocapture", ("track", "$autocapture")),
    ],
)
def test_names_with_a_meaning_are_calls(name: str, expected: tuple[str, str | None]) -> None:
    """What software does by itself shows no use of the product; the others are names like any."""
    event = read({**CAPTURE, "event": name})
    assert (event.type, event.event) == expected


def test_a_group_s_properties_are_traits_of_the_account() -> None:
    """Under the name that the engine knows them by."""
    properties = {"$group_type": "company", "$group_key": "acme", "$group_set": {"segment": "smb"}}
    event = read_one(Form.POSTHOG, {"api_key": "key", "event": "$groupidentify", "properties": properties})
    assert json.loads(event.body)["api_key"] == ""
    assert (event.type, event.account_id) == ("group", "acme")
    assert json.loads(event.body)["traits"] == {"segment": "smb"}
    with pytest.raises(Rejected) as other:
        read({"event": "$groupidentify", "properties": {**properties, "$group_type": "project"}})
    assert other.value.code == "group_type_other"


@pytest.mark.parametrize(
    ("changes", "user"),
    [
        ({"$distinct_id": "rust"}, "rust"),
        ({"$distinct_id": None, "properties": {"distinct_id": "kim"}}, "kim"),
        ({"distinct_id": "kim", "$distinct_id": "other"}, "kim"),
        ({"distinct_id": "$posthog_cookieless"}, None),
        ({"distinct_id": "email"}, None),
    ],
)
def test_the_person_stands_where_some_client_puts_it(changes: dict[str, Any], user: str | None) -> None:
    """The Rust client has a name of its own for it; an id that all strangers share is nobody's."""
    assert read({**CAPTURE, "distinct_id": None, **changes}).user_id == user


def test_php_writes_an_object_without_fields_as_an_array() -> None:
    """A group without properties is a group all the same, and what is kept of it holds an object."""
    properties = {"$group_type": "company", "$group_key": "acme", "$group_set": [], "$lib": "posthog-php"}
    event = read({"event": "$groupidentify", "distinct_id": "$company_acme", "properties": properties})
    assert (event.type, event.account_id, event.user_id) == ("group", "acme", None)
    assert json.loads(event.body)["traits"] == json.loads(event.body)["properties"]["$group_set"] == {}
    assert read({**CAPTURE, "event": "$identify", "$set": []}).type == "identify"
    assert json.loads(read({**CAPTURE, "properties": []}).body) == {**CAPTURE, "properties": {}}


def test_a_person_s_traits_are_read_and_nobody_is_invented() -> None:
    """Role and address of `$set`; the id of an event without a person is thrown away."""
    event = read({"event": "$set", "distinct_id": "kim", "$set": {"role": "champion", "email": "kim@acme.example"}})
    assert (event.user_id, event.role, event.email) == ("kim", "champion", "kim@acme.example")
    personless = {**CAPTURE, "properties": {**CAPTURE["properties"], "$process_person_profile": False}}
    assert read(personless).user_id is None
    group = {"$group_type": "company", "$group_key": "acme"}
    about = {"event": "$groupidentify", "distinct_id": "$company_acme", "properties": group}
    assert read(about).user_id is None
    assert read({**about, "distinct_id": "kim"}).user_id == "kim"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"event": None}, "event_name_missing"),
        ({"event": "e" * 256}, "id_too_long"),
        ({"distinct_id": "u" * 256}, "id_too_long"),
        ({"properties": [1]}, "event_invalid"),
        ({"properties": [], "uuid": 1}, "event_invalid"),
        ({"properties": {"x": float("nan")}}, "json_invalid"),
        ({"properties": {"x": "y" * 66_000}}, "event_too_large"),
    ],
)
def test_a_bad_event_is_rejected_alone(changes: dict[str, Any], code: str) -> None:
    """Its neighbours are taken."""
    first, second, third = read_all(Form.POSTHOG, {"api_key": "k", "batch": [CAPTURE, {**CAPTURE, **changes}, CAPTURE]})
    assert isinstance(first, IncomingEvent)
    assert isinstance(third, IncomingEvent)
    assert isinstance(second, Rejected)
    assert second.code == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"batch":[]}', "batch_empty"),
        (b"[]", "batch_empty"),
        (b"[{}", "body_not_json"),
        (json.dumps([CAPTURE] * 1001).encode(), "too_many_events"),
    ],
)
def test_a_body_without_events_is_refused(body: bytes, code: str) -> None:
    """As a whole."""
    with pytest.raises(BodyInvalid) as refused:
        read_all(Form.POSTHOG, body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "changes",
    [{"event": "batch"}, {"properties": {"batch": 7}}, {"properties": {"batch": ["a"], "of": "batch"}}],
)
def test_an_event_that_comes_alone_may_speak_of_a_batch(changes: dict[str, Any]) -> None:
    """It is none for that."""
    event = read_one(Form.POSTHOG, {"api_key": "k", **CAPTURE, **changes})
    assert event.event == changes.get("event", CAPTURE["event"])
