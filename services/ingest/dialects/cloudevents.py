"""CloudEvents 1.0 over HTTP: binary, structured and batched, by the HTTP protocol binding and the JSON format.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from services.ingest.accounts import is_placeholder
from services.ingest.dialects import batches
from services.ingest.dialects.unpacked import Item, Request, Unpacked, event_invalid, strict_value, too_large
from services.ingest.events import ID_BYTES_MAX, BodyInvalid, IncomingEvent, Rejected, checked_id
from services.ingest.message_ids import message_id_of
from services.runtime.strict_json import DEPTH_MAX

_PREFIX: Final = b"ce-"
_STRUCTURED: Final = "application/cloudevents"
_BATCHED: Final = "application/cloudevents-batch"
# https://www.rfc-editor.org/rfc/rfc7230#section-3.2.6
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"')
_QUOTED_PAIR = re.compile(r"\\(.)")

_Id = str | int | None


class _Event(msgspec.Struct, gc=False):
    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: str | None = None
    partitionkey: str | None = None
    # Extensions of the specification's list: who did it.
    authtype: str | None = None
    authid: str | None = None
    userid: _Id = None


_decode_event = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.encode


def unpack(body: bytes, request: Request) -> Unpacked:
    """One event in the headers and the body, one in the body, or an array; raises BodyInvalid."""
    headers = request.headers
    media_type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    form, _, format_ = media_type.partition("+")
    bytes_max = request.event_bytes_max
    read = partial(_read_structured, bytes_max=bytes_max)
    if form in (_STRUCTURED, _BATCHED):
        if format_ != "json":
            message = "Send CloudEvents in JSON, or in the binary mode with their attributes in `ce-` headers."
            raise BodyInvalid("format_unsupported", message, status=415)
        is_array = form == _BATCHED
    elif any(name.startswith(_PREFIX) for name in headers):
        binary = partial(_read_binary, headers=headers, media_type=media_type, bytes_max=bytes_max)
        return Unpacked([body], binary, bytes_max, data_in=None)
    else:
        is_array = body.lstrip()[:1] == b"["
    document = body.strip()
    if is_array:
        if document.startswith(b"{"):
            raise BodyInvalid("batch_invalid", "Send an array of events; one alone is application/cloudevents+json.")
        items = batches.array_items(document, events_max=request.events_max)
        return Unpacked(items, read, bytes_max, data_in="data")
    if not document:
        raise BodyInvalid("body_empty", "Send an event: its attributes in `ce-` headers, or as JSON in the body.")
    return Unpacked([body], read, bytes_max, data_in="data")


def _read_structured(item: Item, *, bytes_max: int) -> IncomingEvent:
    raw = bytes(item)
    value = strict_value(raw, bytes_max=bytes_max)
    try:
        event = _decode_event(raw)
    except msgspec.ValidationError as error:
        raise event_invalid(error, _id_in(value)) from error
    data = value.pop("data", None)
    return _incoming(event, value, data)


def _read_binary(body: Item, *, headers: Mapping[bytes, bytes], media_type: str, bytes_max: int) -> IncomingEvent:
    attributes: dict[str, Any] = {
        name.removeprefix(_PREFIX).decode("latin-1"): _text_of(value)
        for name, value in headers.items()
        if name.startswith(_PREFIX)
    }
    raw, data = bytes(body), None
    try:
        if len(raw) + sum(map(len, attributes.values())) > bytes_max:
            raise too_large(bytes_max)
        if raw and _is_json(media_type):
            data = strict_value(raw, bytes_max=bytes_max, depth_max=DEPTH_MAX - 1)
        elif raw:
            # As the JSON format has it, for whoever reads the log; nothing here can look into it.
            attributes |= {"datacontenttype": media_type, "data_base64": base64.b64encode(raw).decode()}
    except Rejected as rejected:
        rejected.message_id = _id_in(attributes)
        raise
    return _incoming(msgspec.convert(attributes, _Event), attributes, data)


def _incoming(event: _Event, attributes: dict[str, Any], data: Any) -> IncomingEvent:
    try:
        return _checked(event, attributes, data)
    except Rejected as rejected:
        rejected.message_id = event.id and event.id[:80]
        raise


def _checked(event: _Event, attributes: dict[str, Any], data: Any) -> IncomingEvent:
    if event.specversion != "1.0":
        message = (
            "Send CloudEvents of specversion 1.0; events as Segment's SDKs send them go to /v1/track or /v1/batch."
        )
        raise Rejected("specversion_unsupported", message)
    for name in ("id", "source", "type"):
        if not getattr(event, name):
            raise Rejected("attribute_missing", f"Give the event its {name}, which CloudEvents requires.")
    # The data under the name that plans know it by; the attributes as they came.
    document = attributes if data is None else {**attributes, "properties": data}
    return IncomingEvent(
        "track",
        _encode(document),
        None,
        _user_id(event, data),
        checked_id(str(event.type), "type"),
        _message_id(str(event.source), str(event.id)),
        event.time or None,
        sent_at=None,
        document=document,
        account_fallbacks=(("partitionkey", event.partitionkey or None), ("subject", event.subject or None)),
    )


def _user_id(event: _Event, data: Any) -> str | None:
    of_auth = event.authid if event.authtype == "user" else None
    inside = data if type(data) is dict else {}
    for named in (event.userid, of_auth, inside.get("user_id"), inside.get("userId")):
        if type(named) is str or type(named) is int:
            user_id = str(named)
            return None if is_placeholder(user_id) else checked_id(user_id, "userid")
    return None


def _message_id(source: str, id_: str) -> str:
    """An id names an event only together with its source."""
    whole = f"{source}#{checked_id(id_, 'id')}"
    return whole if len(whole.encode()) <= ID_BYTES_MAX else message_id_of(whole.encode())


def _is_json(media_type: str) -> bool:
    """Also without a type: clients leave it out, and what is no JSON says what it is."""
    return media_type in ("", "application/json", "text/json") or media_type.endswith("+json")


def _text_of(header: bytes) -> str:
    """A header's value: UTF-8, percent-encoded where it is not plain ASCII, or in quotes as older clients send it."""
    try:
        text = header.decode().strip()
        if quoted := _QUOTED.fullmatch(text):
            text = _QUOTED_PAIR.sub(r"\1", quoted[1])
        text = unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise Rejected("utf8_invalid", "Percent-encode UTF-8 in the headers of a CloudEvent.") from error
    if "\0" in text:
        raise Rejected("nul_character", "Remove the NUL character (%00) from the headers of the CloudEvent.")
    return text


def _id_in(value: Any) -> str | None:
    found = value.get("id") if type(value) is dict else None
    return found[:80] if type(found) is str else None
