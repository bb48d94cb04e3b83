"""The Segment tracking API, which RudderStack shares: bytes of a body to events or per-event rejections."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from schemas.product_event import RecordType
from services.ingest.accounts import is_placeholder
from services.ingest.blanking import without_write_key
from services.ingest.dialects import batches
from services.ingest.dialects.unpacked import (
    Item,
    Request,
    Unpacked,
    event_invalid,
    mend_empty_objects,
    strict_value,
    too_large,
)
from services.ingest.events import BodyInvalid, IncomingEvent, Rejected, checked_id
from services.runtime import strict_json
from services.runtime.strict_json import InvalidJson

_Id = str | int | None
_Time = str | int | float | None


class _Context(msgspec.Struct, gc=False):
    groupId: _Id = None  # noqa: N815 - the dialect's own names
    traits: dict[str, Any] | None = None


class _Properties(msgspec.Struct, gc=False):
    """Any object; what is looked for in it is a setting."""


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    event: str | None = None
    messageId: _Id = None  # noqa: N815
    userId: _Id = None  # noqa: N815
    anonymousId: _Id = None  # noqa: N815
    previousId: _Id = None  # noqa: N815
    groupId: _Id = None  # noqa: N815
    timestamp: _Time = None
    originalTimestamp: _Time = None  # noqa: N815
    sentAt: _Time = None  # noqa: N815
    context: _Context | None = None
    properties: _Properties | None = None
    traits: dict[str, Any] | None = None


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    writeKey: str | None = None  # noqa: N815
    sentAt: _Time = None  # noqa: N815
    context: msgspec.Raw = msgspec.Raw()
    integrations: msgspec.Raw = msgspec.Raw()


class _Sender(msgspec.Struct):
    writeKey: str | None = None  # noqa: N815


class Batch(msgspec.Struct):
    """A body taken apart: unparsed events, and what the batch says about all of them."""

    items: list[Item]
    write_key: str | None
    sent_at: str | float | None
    shared: dict[str, dict[str, Any]]
    suspicious: bool
    copied_bytes: int = 0


_batch_decoder = msgspec.json.Decoder(_Batch)
_decode_sender = msgspec.json.Decoder(_Sender).decode
_encode = msgspec.json.encode


def unpack_batch(body: bytes, request: Request) -> Unpacked:
    """The body of `/v1/batch`; raises BodyInvalid."""
    limits = {"events_max": request.events_max, "body_bytes_max": request.body_bytes_max}
    return _unpacked(split_batch(body, **limits), request)


def unpack_call(body: bytes, request: Request) -> Unpacked:
    """The body of a single call, such as `/v1/track`."""
    return _unpacked(split_single(body), request)


def _unpacked(batch: Batch, request: Request) -> Unpacked:
    read = partial(read_event, batch, type_of_route=request.type, bytes_max=request.event_bytes_max)
    bytes_max, copied_bytes = request.event_bytes_max, batch.copied_bytes
    return Unpacked(batch.items, read, bytes_max, batch.write_key, batch.sent_at, copied_bytes=copied_bytes)


def split_batch(body: bytes, *, events_max: int, body_bytes_max: int) -> Batch:
    """The parts of a batch; raises BodyInvalid. A malformed event is left for `read_event` to reject.

    What it says about all of its events is written into each of them, and is limited as if they had been sent so.
    """
    parts, items = batches.split(body, _batch_decoder, events_max=events_max)
    copied_bytes = (len(bytes(parts.context)) + len(bytes(parts.integrations))) * len(items)
    if copied_bytes and len(body) + copied_bytes > body_bytes_max:
        message = f"Keep the batch within {body_bytes_max} bytes, its `context` counted once for each event."
        raise BodyInvalid("context_too_large", message, status=413)
    return Batch(items, parts.writeKey, parts.sentAt, _shared(parts), strict_json.is_suspicious(body), copied_bytes)


def split_single(body: bytes) -> Batch:
    """The same for a body that is one event, such as that of `/v1/track`."""
    write_key = None
    if b'"writeKey"' in body:
        try:
            write_key = _decode_sender(body).writeKey
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            write_key = None
    return Batch([body], write_key, None, {}, strict_json.is_suspicious(body))


def read_event(batch: Batch, item: Item, *, type_of_route: str | None, bytes_max: int) -> IncomingEvent:
    """One event of a batch; raises Rejected. `type_of_route` wins over the type that the event names."""
    raw = bytes(item)
    value = strict_value(raw, bytes_max=bytes_max, suspicious=None if batch.suspicious else False)
    if batch.shared and type(value) is dict:
        raw = _merged(batch.shared, value)
        if len(raw) > bytes_max:
            raise too_large(bytes_max, _message_id_in(value))
    raw = without_write_key(raw)
    try:
        fields = msgspec.convert(value, _Item)
    except msgspec.ValidationError as error:
        if mend_empty_objects(value):
            return read_event(batch, _encode(value), type_of_route=type_of_route, bytes_max=bytes_max)
        raise event_invalid(error, _message_id_in(value)) from error
    event = _event(fields, raw, type_of_route or fields.type, batch.sent_at)
    event.document = value
    return event


def _event(fields: _Item, raw: bytes, type_: str | None, batch_sent_at: str | float | None) -> IncomingEvent:
    message_id = None if fields.messageId is None else str(fields.messageId) or None
    try:
        if message_id is not None:
            checked_id(message_id, "messageId")
        record_type, name = _type_and_name(type_, fields)
        user_id = _user_id(fields)
    except Rejected as rejected:
        rejected.message_id = message_id and message_id[:80]
        raise
    # What the caller said when it happened; RudderStack's Node SDK puts beside it when it was told.
    original = fields.timestamp if fields.timestamp is not None else fields.originalTimestamp
    context = fields.context
    own_traits = fields.traits if record_type == "identify" else None
    return IncomingEvent(
        record_type,
        raw,
        _account_id(fields, record_type),
        user_id,
        name,
        message_id,
        original,
        fields.sentAt if fields.sentAt is not None else batch_sent_at,
        *_person(own_traits, context.traits if context is not None else None),
    )


def _type_and_name(type_: str | None, fields: _Item) -> tuple[RecordType, str | None]:
    match type_:
        case "track":
            if not fields.event:
                raise Rejected("event_name_missing", "Put the name of what happened into `event`.")
            return "track", checked_id(fields.event, "event")
        case "page":
            return "page", "page.viewed"
        case "screen":
            return "screen", "screen.viewed"
        case "identify":
            return "identify", None
        case "group":
            if fields.groupId is None:
                raise Rejected("group_id_missing", "Put the account's id into `groupId`.")
            return "group", None
        case "alias":
            if fields.previousId is None or fields.userId is None:
                raise Rejected("alias_ids_missing", "Put both ids into `previousId` and `userId`.")
            return "alias", None
        case _:
            raise Rejected("type_unknown", "Set `type` to track, identify, group, page, screen or alias.")


def _user_id(fields: _Item) -> str | None:
    """The person, if known; someone without an account of their own is nobody in particular."""
    if fields.userId is None:
        if fields.anonymousId is None:
            raise Rejected("user_missing", "Put `userId` or `anonymousId` into the event.")
        return None
    user_id = str(fields.userId)
    return None if is_placeholder(user_id) else checked_id(user_id, "userId")


def _account_id(fields: _Item, type_: RecordType) -> str | int | None:
    if type_ == "group":
        return fields.groupId
    return None if fields.context is None else fields.context.groupId


def _person(own: dict[str, Any] | None, shared: dict[str, Any] | None) -> tuple[Any, Any]:
    """Role and e-mail: the traits of an identify call, else those in the context."""
    if not own and not shared:
        return None, None
    own, shared = own or {}, shared or {}
    role, email = own.get("role"), own.get("email")
    return shared.get("role") if role is None else role, shared.get("email") if email is None else email


def _shared(parts: _Batch) -> dict[str, dict[str, Any]]:
    shared = {}
    for name, raw in (("context", bytes(parts.context)), ("integrations", bytes(parts.integrations))):
        try:
            value = strict_json.decode(raw, depth_max=strict_json.DEPTH_MAX - 1) if raw else None
        except InvalidJson as error:
            raise BodyInvalid("batch_invalid", f"Correct `{name}` of the batch. {error.message}") from error
        if value:
            if type(value) is not dict:
                raise BodyInvalid("batch_invalid", f"Make `{name}` of the batch an object.")
            shared[name] = value
    return shared


def _merged(shared: dict[str, dict[str, Any]], event: dict[str, Any]) -> bytes:
    """The event with what its batch says about all, each field of its own winning."""
    for name, values in shared.items():
        own = event.get(name)
        if own is None or type(own) is dict:
            event[name] = {**values, **(own or {})}
    return _encode(event)


def _message_id_in(value: Any) -> str | None:
    found = value.get("messageId") if type(value) is dict else None
    return found[:80] if type(found) is str else None
