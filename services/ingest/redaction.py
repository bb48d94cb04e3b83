"""What a source must not tell is taken out of its events before anything of them reaches Kafka."""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

import msgspec

from services.ingest.blanking import written_anew
from services.ingest.events import OBJECT_PLACES, PROPERTIES, IncomingEvent, Rejected
from services.ingest.json_paths import parse_path, places_in, tree_of, value_at
from services.runtime import strict_json
from services.runtime.strict_json import InvalidJson

_HASHED: Final = "hash:"
_DONE = re.compile(r"hash:[0-9a-f]{32}")
# Where the ids of the record are read from in places that no text of a single event has: headers, a batch's context.
_READ_BEFORE: Final = (
    (("userid",), "user_id"),
    (("authid",), "user_id"),
    (("context", "groupId"), "account_id"),
)
_KEY_OF_HASHES = b"firstvalue.redaction"


class Redaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """Paths in an event, such as `context.traits.email`, that are left out or replaced by a keyed hash."""

    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()


class Redactor:
    """Drops and hashes the values at some paths; the same value has the same hash everywhere, for this `secret`."""

    def __init__(self, redaction: Redaction, *, secret: str) -> None:
        self._drop = tree_of(map(parse_path, redaction.drop))
        self._hash = tree_of(map(parse_path, redaction.hash))
        self._key = hmac.digest(_KEY_OF_HASHES, secret.encode(), "sha256")

    def raw(self, item: bytes, data_in: str | None = PROPERTIES) -> bytes:
        """An event as it came, redacted; raises Rejected for one that is not JSON, of which nothing may be kept.

        `data_in` is its field that paths call `properties`; None if it is the value of that field alone, or nothing.
        """
        if data_in is None and not item:
            return item
        try:
            value = strict_json.decode(item)
        except InvalidJson as error:
            raise Rejected(error.code, error.message) from error
        changed = self._apply(value)
        if data_in != PROPERTIES:
            shown = {PROPERTIES: value} if data_in is None else _renamed(value, data_in, PROPERTIES)
            if self._apply(shown):
                changed = True
                if data_in is None and PROPERTIES not in shown:
                    return b""
                value = shown[PROPERTIES] if data_in is None else _renamed(shown, PROPERTIES, data_in)
        return msgspec.json.encode(value) if changed else item

    def event(self, event: IncomingEvent, key: str | None = None) -> None:
        """The event after it was read, when what its batch says about all of its events has been merged into it.

        `key` is the API key that stood in the body: the event's text is written anew, and must not hold it.
        """
        document = event.document
        if document is not None:
            before = [value_at(document, path) for path, _ in _READ_BEFORE]
            if self._apply(document):
                event.body = written_anew(document, key)
                # They may have been read where nothing may be told from.
                event.role = event.email = None
                _read_again(event, document, before)
                event.account_fallbacks = tuple(
                    (name, document.get(name) or None) for name, _ in event.account_fallbacks
                )
        # A hash says nothing about a person, and would hide what another source tells.
        event.role = None if is_hash(event.role) else event.role
        event.email = None if is_hash(event.email) else event.email

    def _apply(self, document: Any) -> bool:
        """Whether anything was there to be taken out."""
        changed = False
        for holder, path in places_in(document, self._drop):
            del holder[path[-1]]
            changed = True
        for holder, path in places_in(document, self._hash):
            value = holder[path[-1]]
            if _is_done(value):
                continue
            # With a hash in its place dialects would reject the event.
            if path in OBJECT_PLACES and type(value) is dict:
                del holder[path[-1]]
            else:
                holder[path[-1]] = self._hashed(value)
            changed = True
        return changed

    def _hashed(self, value: Any) -> str:
        told = value.encode() if type(value) is str else msgspec.json.encode(value)
        return _HASHED + hmac.digest(self._key, told, "sha256")[:16].hex()


def _is_done(value: Any) -> bool:
    return value is None or is_hash(value)


def is_hash(value: Any) -> bool:
    """Whether a value was replaced by a hash."""
    return type(value) is str and _DONE.fullmatch(value) is not None


def _renamed(value: Any, old: str, new: str) -> Any:
    """An object whose field `old` is called `new`, in place of one that was called so before."""
    if type(value) is not dict or old not in value:
        return value
    return {name: inner for name, inner in value.items() if name not in (old, new)} | {new: value[old]}


def _read_again(event: IncomingEvent, document: dict[str, Any], before: list[Any]) -> None:
    """An id that was read where redaction found something since: the record must not tell what its body does not."""
    for (path, name), old in zip(_READ_BEFORE, before, strict=True):
        new = value_at(document, path)
        of_group = name == "account_id" and event.type == "group"
        if old is not None and new != old and str(getattr(event, name)) == str(old) and not of_group:
            setattr(event, name, new if type(new) is str else None)
