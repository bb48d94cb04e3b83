"""A body whose `batch` is an array of events: split fast, and where one event spoils the whole, by its brackets."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from services.ingest.dialects.splitting import elements, members, not_json
from services.ingest.dialects.type_errors import in_words
from services.ingest.dialects.unpacked import Item
from services.ingest.events import BodyInvalid

# Above this many commas the slices of a hostile body could fill the memory; they are then made one at a time.
_COMMAS_MAX: Final = 100_000

Whole = TypeVar("Whole", bound=msgspec.Struct)


def split(body: bytes, decoder: msgspec.json.Decoder[Whole], *, events_max: int) -> tuple[Whole, list[Item]]:
    """(what the batch says about all of its events, the unparsed events).

    The decoder's type has a field `batch` of raw values. Raises BodyInvalid; a malformed event is not looked at.
    """
    try:
        if body.count(b",") > _COMMAS_MAX or body.count(b'"batch"') != 1:
            raise msgspec.DecodeError
        whole = decoder.decode(body)
        items: list[Item] = list(whole.batch)  # type: ignore[attr-defined]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        whole, items = _split_by_brackets(body, decoder, events_max)
    return whole, counted(items, events_max=events_max)


def counted(items: list[Item], *, events_max: int) -> list[Item]:
    """The items if there is at least one and not too many; raises BodyInvalid."""
    if not items:
        raise BodyInvalid("batch_empty", "Put at least one event into the batch.")
    if len(items) > events_max:
        raise BodyInvalid("too_many_events", f"Send at most {events_max} events in one batch.", status=413)
    return items


def array_items(array: bytes, *, events_max: int) -> list[Item]:
    """The unparsed elements of an array that is the whole body; raises BodyInvalid."""
    return counted(_up_to(array, events_max), events_max=events_max)


def _split_by_brackets(body: bytes, decoder: msgspec.json.Decoder[Whole], events_max: int) -> tuple[Whole, list[Item]]:
    found: dict[bytes, bytes] = {}
    body = body.strip()
    for key, value in () if body.startswith(b"[") else members(body):
        if key in found:
            raise BodyInvalid("batch_invalid", "Send each field of the batch once.")
        found[key] = value
    if not found.get(b"batch", b"").startswith(b"["):
        raise BodyInvalid("batch_invalid", "Send an object whose `batch` is an array of events.")
    items = _up_to(found.pop(b"batch"), events_max)
    try:
        rest = b"".join(b',"%b":%b' % member for member in found.items())
        return decoder.decode(b'{"batch":[]%b}' % rest), items
    except (UnicodeDecodeError, RecursionError) as error:
        raise not_json("text must be UTF-8 and nesting shallow") from error
    except msgspec.ValidationError as error:
        raise BodyInvalid("batch_invalid", f"Correct the batch: {in_words(error)}.") from error
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from error


def _up_to(array: bytes, events_max: int) -> list[Any]:
    """One element more than is allowed tells that there are too many."""
    items = []
    for element in elements(array):
        items.append(element)
        if len(items) > events_max:
            break
    return items
