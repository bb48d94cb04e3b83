"""The Segment dialect: bodies to events, one bad event failing alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.ingest.accounts import AccountRules, Named
from services.ingest.dialects import segment
from services.ingest.events import BodyInvalid, IncomingEvent, Rejected
from services.ingest.json_paths import parse_paths
from services.runtime import strict_json

TRACK: dict[str, Any] = {
    "type": "track",
    "event": "Report Generated",
    "userId": "u-1",
    "messageId": "m-1",
    "timestamp": "2026-11-20T10:00:00Z",
    "context": {"groupId": "acme"},
    "anonymousId": None,
    "integrations": None,
}


def read_all(body: bytes, *, type_of_route: str | None = None) -> list[IncomingEvent | Rejected]:
    """Every event of a batch body, or why it was rejected."""
    batch = segment.split_batch(body, events_max=1000, body_bytes_max=5_242_880)
    results: list[IncomingEvent | Rejected] = []
    for item in batch.items:
        try:
            results.append(segment.read_event(batch, item, type_of_route=type_of_route, bytes_max=65_536))
        except Rejected as rejected:
            results.append(rejected)
    return results


def read_one(event: dict[str, Any] | bytes, **batch: Any) -> IncomingEvent:
    """The only event of a batch; raises Rejected."""
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    shared = b"".join(b',"%b":%b' % (name.encode(), json.dumps(value).encode()) for name, value in batch.items())
    [result] = read_all(b'{"batch":[%b]%b}' % (raw, shared))
    if isinstance(result, Rejected):
        raise result
    return result


@pytest.mark.parametrize("place", ["context", "properties", "traits"])
def test_php_writes_an_object_without_fields_as_an_array(place: str) -> None:
    """What is kept holds an object, and what the batch says about all is merged into it."""
    event = read_one({**TRACK, place: []}, context={"groupId": "globex", "traits": []})
    context: dict[str, Any] = {"groupId": "globex" if place == "context" else "acme", "traits": {}}
    assert json.loads(event.body) == event.document == {**TRACK, place: {}, "context": context}
    assert event.account_id == context["groupId"]


def test_a_track_call_is_read_with_its_body_untouched() -> None:
    """Explicit nulls are absent values, and the client's bytes are kept as they came."""
    raw = json.dumps(TRACK, indent=1).encode()
    event = read_one(raw, sentAt="2026-11-20T10:00:01Z", writeKey="k")
    assert (event.type, event.event, event.account_id, event.user_id) == ("track", "Report Generated", "acme", "u-1")
    assert (event.message_id, event.timestamp, event.sent_at) == ("m-1", TRACK["timestamp"], "2026-11-20T10:00:01Z")
    assert event.body == raw


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"type": "page", "name": "Home"}, ("page", "page.viewed")),
        ({"type": "screen", "name": "Home"}, ("screen", "screen.viewed")),
        ({"type": "identify", "traits": {}}, ("identify", None)),
        ({"type": "group", "groupId": "acme"}, ("group", None)),
        ({"type": "alias", "previousId": "a"}, ("alias", None)),
    ],
)
def test_types_become_event_names(changes: dict[str, Any], expected: tuple[str, str | None]) -> None:
    """Pages and screens have one name each, so that plans can count them; the others name no event."""
    event = read_one({**TRACK, **changes})
    assert (event.type, event.event) == expected


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({"properties": {"account_id": "p"}}, "acme"),
        ({"context": None, "properties": {"account_id": "p"}}, "p"),
        ({"context": {"groupId": None}, "properties": {"account_id": 42}}, "42"),
        ({"context": {}, "properties": {}}, None),
        ({"context": {}, "properties": {"account_id": {"id": "x"}, "org": {"id": "deep"}}}, "deep"),
        ({"context": {}, "properties": {"$groups": {"company": "g", "team": "t"}, "account_id": "p"}}, "g"),
        ({"context": {}, "properties": {"$groups": {"team": "t"}, "account_id": "p"}}, "t"),
        ({"context": {}, "properties": {"$groups": "none"}}, None),
        ({"type": "group", "groupId": "g"}, "g"),
    ],
)
def test_the_first_place_that_names_an_account_wins(changes: dict[str, Any], account: str | None) -> None:
    """The groupId of a group call, else context.groupId, else a configured group, else a configured path."""
    rules = AccountRules(
        group_types=("company", "team"), paths=parse_paths("properties.account_id, properties.org.id, properties.org")
    )
    named = rules.named(read_one({**TRACK, **changes}))
    assert (named and named.account_id) == account


def test_what_a_dialect_says_last_is_asked_last() -> None:
    """`partitionkey`, then `subject`, and only where nothing in the event names an account."""
    rules = AccountRules(group_types=(), paths=parse_paths("properties.account_id"))
    event = read_one({**TRACK, "context": None})
    event.account_fallbacks = (("partitionkey", None), ("subject", "s"))
    assert rules.named(event) == Named("s", "subject")
    event.account_fallbacks = (("partitionkey", "k"), ("subject", "s"))
    assert rules.named(event) == Named("k", "partitionkey")
    event.document = {"properties": {"account_id": "own"}}
    assert rules.named(event) == Named("own", "properties.account_id")


@pytest.mark.parametrize("text", ["a..b", ".", "a.", ".".join("x" * 33), "$.properties.id", "a[0].id"])
def test_a_path_that_names_no_place_is_refused(text: str) -> None:
    """At the start of the service, not at its first event."""
    with pytest.raises(ValueError, match="keys joined by dots"):
        parse_paths(text)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"event": None}, "event_name_missing"),
        ({"event": ""}, "event_name_missing"),
        ({"type": "group"}, "group_id_missing"),
        ({"type": "alias"}, "alias_ids_missing"),
        ({"type": "delete"}, "type_unknown"),
        ({"type": None}, "type_unknown"),
        ({"userId": None}, "user_missing"),
        ({"userId": "ü" * 128}, "id_too_long"),
        ({"messageId": "m" * 256}, "id_too_long"),
        ({"event": "e" * 256}, "id_too_long"),
        ({"userId": {"a": 1}}, "event_invalid"),
        ({"properties": [1]}, "event_invalid"),
        ({"properties": {"x": "y" * 66_000}}, "event_too_large"),
        ({"properties": {"x": float("nan")}}, "json_invalid"),
        ({"properties": {"x": "\0"}}, "nul_character"),
        ({"properties": {"x": 2**70}}, "number_out_of_range"),
    ],
)
def test_a_bad_event_is_rejected_alone(changes: dict[str, Any], code: str) -> None:
    """Its neighbours are read, also where the whole body is not JSON because of it."""
    body = json.dumps({"batch": [TRACK, {**TRACK, **changes}, TRACK]}).encode()
    first, second, third = read_all(body)
    assert isinstance(first, IncomingEvent)
    assert isinstance(third, IncomingEvent)
    assert isinstance(second, Rejected)
    assert second.code == code


def test_deep_nesting_is_rejected_alone() -> None:
    """Even so deep that a parser gives up on the whole body."""
    deep = b"[" * 3000 + b"]" * 3000
    results = read_all(b'{"batch":[%b,%b]}' % (deep, json.dumps(TRACK).encode()))
    assert [type(result) for result in results] == [Rejected, IncomingEvent]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body_not_json"),
        (b"[]", "batch_invalid"),
        (b'{"batch":[', "body_not_json"),
        (b'{"batch":[1]}x', "body_not_json"),
        (b"{}", "batch_invalid"),
        (b'{"batch":{}}', "batch_invalid"),
        (b'{"batch":[1],"batch":[2]}', "batch_invalid"),
        (b'{"batch":[1],"writeKey":5}', "batch_invalid"),
        (b'{"batch":[1],"context":{"a":1,"a":2}}', "batch_invalid"),
        (b'{"batch":[1],"context":[1]}', "batch_invalid"),
        (b'{"batch":[]}', "batch_empty"),
        (b'{"batch":[' + b"1," * 1000 + b"1]}", "too_many_events"),
        (b'{"batch":[' + b"0," * 2_000_000 + b"0]}", "too_many_events"),
    ],
)
def test_a_body_that_holds_no_events_is_refused(body: bytes, code: str) -> None:
    """With a code that says what is wrong with it as a whole."""
    with pytest.raises(BodyInvalid) as refusal:
        read_all(body)
    assert refusal.value.code == code


def test_what_the_batch_says_holds_for_each_event() -> None:
    """The context of the batch fills what an event's own context leaves open; the event's own wins."""
    shared = {"groupId": "batch", "ip": "1.2.3.4"}
    event = read_one({**TRACK, "context": {"groupId": "own"}}, context=shared, integrations={"All": True})
    body = msgspec.json.decode(event.body)
    assert event.account_id == "own"
    assert body["context"] == {"groupId": "own", "ip": "1.2.3.4"}
    assert body["integrations"] == {"All": True}
    assert read_one({**TRACK, "context": None}, context=shared).account_id == "batch"


def test_a_context_that_makes_events_too_large_is_refused() -> None:
    """Merged into an event it counts to the event; merged into all it must not fill the memory."""
    with pytest.raises(Rejected) as rejected:
        read_one(TRACK, context={"x": "y" * 66_000})
    assert (rejected.value.code, rejected.value.message_id) == ("event_too_large", "m-1")
    with pytest.raises(BodyInvalid) as refused:
        read_all(json.dumps({"batch": [TRACK] * 1000, "context": {"x": "y" * 6_000}}).encode())
    assert (refused.value.status, refused.value.code) == (413, "context_too_large")
    assert len(read_all(json.dumps({"batch": [TRACK] * 1000, "context": {"x": "y" * 4_000}}).encode())) == 1000


def test_a_context_that_makes_events_too_deep_is_refused() -> None:
    """It stands one level deeper in each of them than it says itself."""

    def body(depth: int) -> bytes:
        return b'{"batch":[%b],"context":%b1%b}' % (json.dumps(TRACK).encode(), b'{"a":' * depth, b"}" * depth)

    [event] = read_all(body(31))
    assert isinstance(event, IncomingEvent)
    strict_json.decode(event.body)
    with pytest.raises(BodyInvalid, match="at most 32 deep"):
        read_all(body(32))


def test_keys_do_not_enter_the_log() -> None:
    """The write key of a body is used and blanked."""
    body = json.dumps({**TRACK, "writeKey": "secret"}).encode()
    single = segment.split_single(body)
    event = segment.read_event(single, single.items[0], type_of_route="track", bytes_max=65_536)
    assert single.write_key == "secret"
    assert b"secret" not in event.body
    assert msgspec.json.decode(event.body)["writeKey"] == ""


def test_a_person_s_role_and_address_come_from_traits() -> None:
    """Those of an identify call, else those of the context; a group's traits are the account's, not a person's."""
    traits = {"role": "champion", "email": "kim@acme.example"}
    identify = read_one({**TRACK, "type": "identify", "traits": traits})
    assert (identify.role, identify.email) == ("champion", "kim@acme.example")
    track = read_one({**TRACK, "context": {"groupId": "acme", "traits": traits}})
    assert (track.role, track.email) == ("champion", "kim@acme.example")
    group = read_one({**TRACK, "type": "group", "groupId": "acme", "traits": traits})
    assert (group.role, group.email) == (None, None)


def test_an_id_that_means_nobody_is_no_user() -> None:
    """A person called "null" would count as one person everywhere."""
    assert read_one({**TRACK, "userId": "null"}).user_id is None
    assert read_one({**TRACK, "userId": None, "anonymousId": "a-1"}).user_id is None
    assert read_one({**TRACK, "userId": 17}).user_id == "17"


def test_the_time_is_what_the_caller_said() -> None:
    """RudderStack's Node SDK sends beside it when it was told, its browser SDK only that."""
    told = "2026-11-20T12:00:00Z"
    assert read_one({**TRACK, "originalTimestamp": told}).timestamp == TRACK["timestamp"]
    assert read_one({**TRACK, "timestamp": None, "originalTimestamp": told}).timestamp == told


def test_what_is_nearer_wins() -> None:
    """The path says the type, whatever the event does; an event's own `sentAt` comes before that of its batch."""
    [event] = read_all(json.dumps({"batch": [{**TRACK, "type": "screen"}]}).encode(), type_of_route="page")
    assert isinstance(event, IncomingEvent)
    assert event.type == "page"
    assert read_one(TRACK, sentAt="2026-11-20T12:00:00Z").sent_at == "2026-11-20T12:00:00Z"
    own = {**TRACK, "sentAt": "2026-11-20T11:00:00Z"}
    assert read_one(own, sentAt="2026-11-20T12:00:00Z").sent_at == "2026-11-20T11:00:00Z"
