"""What redaction leaves of an event, with the dialect that reads it: in its text, and in what was read out of it."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.accounts import AccountRules
from services.ingest.client_addresses import ClientAddresses
from services.ingest.events import IncomingEvent
from services.ingest.processing import EventProcessor, Topics
from services.ingest.records import Arrival
from services.ingest.redaction import Redaction, Redactor
from services.ingest.routes import Form
from tests.unit.ingest.reading import NOW, unpacked

CLOUD_EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
CE_HEADERS = {f"ce-{name}": value for name, value in CLOUD_EVENT.items()}


def taken(form: Form, body: Any, *, drop: tuple[str, ...] = (), hash_: tuple[str, ...] = (), **options: Any) -> Any:
    """The first event of a body as it is taken, from a source with this redaction."""
    redactor = Redactor(Redaction(drop=drop, hash=hash_), secret="s")
    parts = unpacked(form, body, **options)
    event: IncomingEvent = parts.read(redactor.raw(bytes(parts.items[0]), parts.data_in))
    redactor.event(event, parts.key)
    return event


@pytest.mark.parametrize(
    ("form", "body", "path"),
    [
        (
            Form.SEGMENT_BATCH,
            {
                "context": {"ip": "192.0.2.7"},
                "batch": [{"type": "track", "event": "E", "userId": "u", "writeKey": "fv_KEY"}],
            },
            "context.ip",
        ),
        (
            Form.POSTHOG,
            {
                "api_key": "fv_KEY",
                "event": "$groupidentify",
                "distinct_id": "u",
                "properties": {
                    "token": "fv_KEY",
                    "$group_type": "company",
                    "$group_key": "acme",
                    "$group_set": {"phone": "1"},
                },
            },
            "traits.phone",
        ),
    ],
)
def test_a_text_that_is_written_anew_holds_no_key(form: Form, body: Any, path: str) -> None:
    """The dialect blanked the key in the text that it read, not in the value that redaction writes."""
    assert b"fv_KEY" not in taken(form, body, drop=(path,)).body


def test_a_hash_is_not_learned_about_a_person() -> None:
    """It would take the place of the e-mail that another source tells, by which staff are known."""
    traits = {"email": "kim@acme.example", "role": "champion"}
    body = {"type": "identify", "userId": "u", "traits": traits}
    event = taken(Form.SEGMENT_CALL, body, type_="identify", hash_=("traits.email", "traits.role"))
    assert (event.role, event.email) == (None, None)


@pytest.mark.parametrize(
    ("form", "body", "path"),
    [
        (Form.SEGMENT_CALL, {"type": "track", "event": "E", "userId": "u"}, "context"),
        (Form.SEGMENT_CALL, {"type": "track", "event": "E", "userId": "u"}, "context.traits"),
        (Form.SEGMENT_CALL, {"type": "identify", "userId": "u"}, "traits"),
        (Form.SEGMENT_CALL, {"type": "track", "event": "E", "userId": "u"}, "properties"),
        (Form.POSTHOG, {"event": "E", "distinct_id": "u"}, "properties"),
        (Form.POSTHOG, {"event": "$set", "distinct_id": "u"}, "$set"),
        (Form.POSTHOG, {"event": "$set", "distinct_id": "u"}, "properties.$set"),
    ],
)
def test_where_an_object_has_to_stand_none_is_left(form: Form, body: Any, path: str) -> None:
    """A hash in its place would have the event rejected, which was right as it came."""
    inner: Any = {"email": "kim@acme.example"}
    for key in reversed(path.split(".")):
        inner = {key: inner}
    assert b"kim" not in taken(form, {**body, **inner}, type_=body.get("type"), hash_=(path,)).body


def test_what_only_begins_like_a_hash_is_hashed() -> None:
    """Nobody gets a value past redaction by what they write before it."""
    body = {"type": "track", "event": "E", "userId": "u", "properties": {"phone": "hash:+1 555 0100"}}
    assert b"555" not in taken(Form.SEGMENT_CALL, body, type_="track", hash_=("properties.phone",)).body


@pytest.mark.parametrize(
    ("headers", "around"), [({}, {**CLOUD_EVENT, "data": None}), (CE_HEADERS, None)], ids=["structured", "binary"]
)
def test_the_data_of_a_cloudevent_is_redacted_as_it_is_shown(
    headers: dict[str, str], around: dict[str, Any] | None
) -> None:
    """In what may become a dead letter and in the person of the record too."""
    data = {"user_id": "kim", "email": "kim@acme.example", "rows": 1}
    body = data if around is None else {**around, "data": data}
    paths: dict[str, tuple[str, ...]] = {"drop": ("properties.email",), "hash": ("properties.user_id",)}
    parts = unpacked(Form.CLOUDEVENTS, body, headers=headers)
    kept = Redactor(Redaction(**paths), secret="s").raw(bytes(parts.items[0]), parts.data_in)
    assert b"kim" not in kept
    assert b'"rows":1' in kept
    event = taken(Form.CLOUDEVENTS, body, drop=paths["drop"], hash_=paths["hash"], headers=headers)
    assert event.user_id.startswith("hash:")
    assert b"kim" not in event.body


def test_a_cloudevent_without_data_is_taken() -> None:
    """There is nothing in its body to redact; what its headers say is."""
    headers = {**CE_HEADERS, "ce-userid": "kim", "ce-subject": "acme"}
    event = taken(Form.CLOUDEVENTS, b"", headers=headers, drop=("properties",), hash_=("userid",))
    assert event.user_id.startswith("hash:")
    assert b"kim" not in event.body
    assert taken(Form.CLOUDEVENTS, b"", headers=headers, drop=("userid",)).user_id is None
    assert taken(Form.CLOUDEVENTS, {"a": 1}, headers=headers, drop=("properties",)).document.get("properties") is None


@pytest.mark.parametrize("name", ["subject", "partitionkey"])
def test_the_account_of_a_cloudevent_is_redacted_in_every_mode_alike(name: str) -> None:
    """Else one customer would be two accounts, and the record would tell what its body does not."""
    rules = AccountRules(group_types=(), paths=())
    modes: tuple[Any, ...] = (({**CLOUD_EVENT, name: "acme"}, {}), ({"rows": 1}, {**CE_HEADERS, f"ce-{name}": "acme"}))
    for paths in ({"hash_": (name,)}, {"drop": (name,)}):
        events = [taken(Form.CLOUDEVENTS, body, headers=headers, **paths) for body, headers in modes]
        assert all(b"acme" not in event.body for event in events)
        [named] = {rules.named(event) for event in events}
        assert named is None or named.account_id.startswith("hash:")


def test_an_account_in_the_context_of_a_batch_is_redacted_as_one_in_its_event() -> None:
    """Else one customer would be two accounts, by where the client says it."""
    event = {"type": "track", "event": "E", "userId": "u"}
    context = {"context": {"groupId": "acme"}}
    shared = taken(Form.SEGMENT_BATCH, {"batch": [event], **context}, hash_=("context.groupId",))
    own = taken(Form.SEGMENT_BATCH, {"batch": [{**event, **context}]}, hash_=("context.groupId",))
    assert shared.account_id == own.account_id != "acme"


@pytest.mark.parametrize("rows", [[{"card": "4111"}, 7, {"keep": 1}], [[{"card": "4111"}]], {"card": "4111"}])
def test_a_path_goes_through_arrays(rows: Any) -> None:
    """A cart holds its lines in an array, and none of them may keep what must not be told."""
    body = {"type": "track", "event": "E", "userId": "u", "properties": {"rows": rows}}
    dropped = taken(Form.SEGMENT_CALL, body, type_="track", drop=("properties.rows.card",)).body
    assert b"card" not in dropped
    assert (b'"keep":1' in dropped) == (b"keep" in msgspec.json.encode(rows))
    hashed = taken(Form.SEGMENT_CALL, body, type_="track", hash_=("properties.rows.card",)).body
    assert (b"4111" in hashed, b'"card":"hash:' in hashed) == (False, True)


KEYS = st.sampled_from("abc")
DOCUMENTS = st.recursive(
    st.integers(0, 9), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


def without(value: Any, path: tuple[str, ...]) -> Any:
    """`value` after one path alone was dropped from it."""
    if isinstance(value, list):
        return [without(element, path) for element in value]
    if not isinstance(value, dict):
        return value
    key, *more = path
    if not more:
        return {name: inner for name, inner in value.items() if name != key}
    return {name: without(inner, tuple(more)) if name == key else inner for name, inner in value.items()}


@given(DOCUMENTS, st.lists(st.lists(KEYS, min_size=1, max_size=3).map(tuple), max_size=5))
def test_all_paths_together_take_out_what_each_takes_out_alone(document: Any, paths: list[tuple[str, ...]]) -> None:
    """Also where one leads into what another takes."""
    redactor = Redactor(Redaction(drop=tuple(map(".".join, paths))), secret="s")
    expected = document
    for path in paths:
        expected = without(expected, path)
    assert msgspec.json.decode(redactor.raw(msgspec.json.encode(document))) == expected


@pytest.mark.parametrize("element", [7, {}, [], {"a": 1}])
def test_an_array_is_gone_through_once_for_all_paths(element: Any) -> None:
    """One event may have tens of thousands of elements, and a key fifty paths, while nobody else is served."""
    item = msgspec.json.encode({"rows": [element] * 1_000})

    def calls(paths: int) -> int:
        names = tuple(f"rows.key{number}" for number in range(paths))
        redactor, counted = Redactor(Redaction(drop=names, hash=names), secret="s"), 0

        def count(*_: Any) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            redactor.raw(item)
        finally:
            sys.setprofile(None)
        return counted

    assert calls(50) < 2 * calls(1)


def test_an_array_in_place_of_an_event_is_redacted() -> None:
    """It is refused, but its dead letter holds what came."""
    kept = Redactor(Redaction(drop=("context.ip",)), secret="s").raw(b'[{"context":{"ip":"192.0.2.7"}}]')
    assert kept == b'[{"context":{}}]'


def test_an_event_beyond_its_size_is_not_parsed_to_be_redacted() -> None:
    """Its size alone is looked at: what is longer than allowed may hold anything, at any cost."""
    nothing: Any = SimpleNamespace(build=None)
    topics = Topics(events="e", unresolved="u", dead="d", partitions=1)
    processor = EventProcessor(builder=nothing, people=nothing, addresses=ClientAddresses(()), topics=topics)
    parts = unpacked(Form.SEGMENT_CALL, b'{"a":' + b"[" * 70_000, type_="track")
    redactor = Redactor(Redaction(drop=("a",)), secret="s")
    found = asyncio.run(processor.process(parts, Arrival("k1", "/v1/track", NOW, None), redactor))
    assert [error.code for error in found.errors] == ["event_too_large"]
    assert found.records[topics.dead][0].value == b"null"
