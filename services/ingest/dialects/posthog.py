"""The capture API of PostHog's server SDKs: a batch, an array of events, or one event, to events or rejections."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from schemas.product_event import RecordType
from services.ingest.accounts import is_placeholder
from services.ingest.blanking import without_key
from services.ingest.dialects import batches
from services.ingest.dialects.unpacked import Item, Request, Unpacked, event_invalid, mend_empty_objects, strict_value
from services.ingest.events import BodyInvalid, IncomingEvent, Rejected, checked_id

_Id = str | int | None
_Time = str | int | float | None
_Traits = dict[str, Any] | None

# What the SDK or the product's code does by itself while somebody is there, or nobody is: it shows no use.
_BY_ITSELF = (
    *("$feature_flag_called", "$experiment_exposure", "$web_experiment_applied", "$exception", "$csp_violation"),
    *("$web_vitals", "$performance_event", "$$heatmap", "$snapshot", "$$client_ingestion_warning", "survey shown"),
)
# Events that are about a person or a group; the other names that begin with a dollar sign are usage.
_RECORD_TYPES: dict[str, RecordType] = {
    **dict.fromkeys(_BY_ITSELF, "identify"),
    "$identify": "identify",
    "$set": "identify",
    "$delete_person_property": "identify",
    "$groupidentify": "group",
    "$create_alias": "alias",
    "$merge_dangerously": "alias",
    "$pageview": "page",
    "$screen": "screen",
}
_NAMES: dict[RecordType, str] = {"page": "page.viewed", "screen": "screen.viewed"}


class _Properties(msgspec.Struct, gc=False):
    distinct_id: _Id = None
    insert_id: _Id = msgspec.field(default=None, name="$insert_id")
    group_type: str | None = msgspec.field(default=None, name="$group_type")
    group_key: _Id = msgspec.field(default=None, name="$group_key")
    group_set: _Traits = msgspec.field(default=None, name="$group_set")
    set: _Traits = msgspec.field(default=None, name="$set")
    process_person_profile: bool | None = msgspec.field(default=None, name="$process_person_profile")


class _Item(msgspec.Struct, gc=False):
    event: str | None = None
    uuid: str | None = None
    distinct_id: _Id = None
    # As the Rust client spells it.
    dollar_distinct_id: _Id = msgspec.field(default=None, name="$distinct_id")
    timestamp: _Time = None
    sent_at: _Time = None
    properties: _Properties | None = None
    set: _Traits = msgspec.field(default=None, name="$set")


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    api_key: str | None = None
    token: str | None = None
    sent_at: _Time = None
    sentAt: _Time = None  # noqa: N815 - older clients


class _Form(msgspec.Struct):
    """What tells an event that only speaks of a batch, in its name or properties, from a batch."""

    event: str
    batch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Sender(msgspec.Struct):
    """Where an event that comes alone may hold the key."""

    class Properties(msgspec.Struct):
        """The place of clients that send arrays."""

        token: str | None = None

    api_key: str | None = None
    token: str | None = None
    properties: Properties | None = None


_decode_item = msgspec.json.Decoder(_Item).decode
_batch_decoder = msgspec.json.Decoder(_Batch)
_decode_form = msgspec.json.Decoder(_Form).decode
_decode_sender = msgspec.json.Decoder(_Sender).decode
_encode = msgspec.json.encode
_NO_PROPERTIES = _Properties()


def unpack(body: bytes, request: Request) -> Unpacked:
    """A batch, an array of events, or one event, whichever path it came by; raises BodyInvalid."""
    if body.lstrip()[:1] == b"[":
        items = batches.array_items(body.strip(), events_max=request.events_max)
        return _unpacked(items, request, _key_of_event(bytes(items[0])), None)
    if b'"batch"' in body:
        try:
            whole, items = batches.split(body, _batch_decoder, events_max=request.events_max)
        except BodyInvalid:
            if not _is_one_event(body):
                raise
        else:
            return _unpacked(items, request, whole.api_key or whole.token, whole.sent_at or whole.sentAt)
    return _unpacked([body], request, _key_of_event(body), None)


def _unpacked(items: list[Item], request: Request, key: str | None, sent_at: str | float | None) -> Unpacked:
    read = partial(
        _read_event,
        key=key,
        sent_at=sent_at,
        group_types=request.group_types,
        bytes_max=request.event_bytes_max,
    )
    return Unpacked(items, read, request.event_bytes_max, key, sent_at)


def _read_event(
    item: Item, *, key: str | None, sent_at: str | float | None, group_types: tuple[str, ...], bytes_max: int
) -> IncomingEvent:
    raw = bytes(item)
    value = strict_value(raw, bytes_max=bytes_max)
    try:
        fields = _decode_item(raw)
    except msgspec.ValidationError as error:
        if mend_empty_objects(value):
            return _read_event(_encode(value), key=key, sent_at=sent_at, group_types=group_types, bytes_max=bytes_max)
        raise event_invalid(error, _message_id_in(value)) from error
    try:
        event = _event(fields, raw, value, sent_at, group_types)
    except Rejected as rejected:
        rejected.message_id = _message_id_in(value)
        raise
    event.body = without_key(event.body, key)
    return event


def _event(
    fields: _Item, raw: bytes, value: dict[str, Any], batch_sent_at: str | float | None, group_types: tuple[str, ...]
) -> IncomingEvent:
    if not fields.event:
        raise Rejected("event_name_missing", "Put the name of what happened into `event`.")
    properties = fields.properties or _NO_PROPERTIES
    type_ = _RECORD_TYPES.get(fields.event, "track")
    message_id = fields.uuid or properties.insert_id
    account_id = None
    if type_ == "group":
        account_id = _group_of(properties, group_types)
        # Traits of an account have one place in the log, whatever the client calls it.
        value = {**value, "traits": properties.group_set or {}}
        raw = _encode(value)
    person = fields.set or properties.set or {}
    return IncomingEvent(
        type_,
        raw,
        account_id,
        _user_id(fields, properties),
        checked_id(fields.event, "event") if type_ == "track" or fields.event in _BY_ITSELF else _NAMES.get(type_),
        None if message_id is None else checked_id(str(message_id), "uuid"),
        fields.timestamp,
        fields.sent_at if fields.sent_at is not None else batch_sent_at,
        role=person.get("role"),
        email=person.get("email"),
        document=value,
    )


def _group_of(properties: _Properties, group_types: tuple[str, ...]) -> str | int:
    if properties.group_type not in group_types:
        raise Rejected("group_type_other", f"Only groups of the type {' or '.join(group_types)} are accounts here.")
    if properties.group_key is None:
        raise Rejected("group_id_missing", "Put the account's id into `$group_key`.")
    return properties.group_key


def _user_id(fields: _Item, properties: _Properties) -> str | None:
    """The person, if known: for events without one, clients invent an id, and say so or make it of the group's."""
    named = fields.distinct_id
    if named is None:
        named = properties.distinct_id if fields.dollar_distinct_id is None else fields.dollar_distinct_id
    if named is None or properties.process_person_profile is False:
        return None
    user_id = str(named)
    if fields.event == "$groupidentify" and user_id == f"${properties.group_type}_{properties.group_key}":
        return None
    return None if is_placeholder(user_id) else checked_id(user_id, "distinct_id")


def _is_one_event(body: bytes) -> bool:
    try:
        return _decode_form(body).batch is msgspec.UNSET
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _key_of_event(raw: bytes) -> str | None:
    try:
        sender = _decode_sender(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return sender.api_key or sender.token or (sender.properties.token if sender.properties else None)


def _message_id_in(value: Any) -> str | None:
    found = value.get("uuid") if type(value) is dict else None
    return found[:80] if type(found) is str else None
