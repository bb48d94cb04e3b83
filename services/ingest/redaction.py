"""What a source must not tell is taken out of its events before anything of them reaches Kafka."""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

import msgspec

from services.ingest.blanking import without_key, without_write_key
from services.ingest.events import IncomingEvent, Rejected
from services.ingest.json_paths import JsonPath, parse_path
from services.runtime import strict_json
from services.runtime.strict_json import InvalidJson

_HASHED: Final = "hash:"
_DONE = re.compile(r"hash:[0-9a-f]{32}")
_KEY_OF_HASHES = b"firstvalue.redaction"


class Redaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """Paths in an event, such as `context.traits.email`, that are left out or replaced by a keyed hash."""

    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()


class Redactor:
    """Drops and hashes the values at some paths; the same value has the same hash everywhere, for this `secret`."""

    def __init__(self, redaction: Redaction, *, secret: str) -> None:
        self._drop = tuple(map(parse_path, redaction.drop))
        self._hash = tuple(map(parse_path, redaction.hash))
        self._key = hmac.digest(_KEY_OF_HASHES, secret.encode(), "sha256")

    def raw(self, item: bytes) -> bytes:
        """An event as it came, redacted; raises Rejected for one that is not JSON, of which nothing may be kept."""
        try:
            value = strict_json.decode(item)
        except InvalidJson as error:
            raise Rejected(error.code, error.message) from error
        return msgspec.json.encode(value) if self._apply(value) else item

    def event(self, event: IncomingEvent, key: str | None = None) -> None:
        """The event after it was read, when what its batch says about all of its events has been merged into it.

        `key` is the API key that stood in the body: the event's text is written anew, and must not hold it.
        """
        if event.document is not None and self._apply(event.document):
            event.body = without_key(without_write_key(msgspec.json.encode(event.document)), key)
            # They may have been read where nothing may be told from.
            event.role = event.email = None
        # A hash says nothing about a person, and would hide what another source tells.
        event.role = None if _is_hash(event.role) else event.role
        event.email = None if _is_hash(event.email) else event.email

    def _apply(self, document: Any) -> bool:
        """Whether anything was there to be taken out."""
        changed = False
        for path in self._drop:
            holder = _holder(document, path)
            if holder is not None:
                del holder[path[-1]]
                changed = True
        for path in self._hash:
            holder = _holder(document, path)
            if holder is not None and not _is_done(holder[path[-1]]):
                holder[path[-1]] = self._hashed(holder[path[-1]])
                changed = True
        return changed

    def _hashed(self, value: Any) -> str:
        told = value.encode() if type(value) is str else msgspec.json.encode(value)
        return _HASHED + hmac.digest(self._key, told, "sha256")[:16].hex()


def _is_done(value: Any) -> bool:
    return value is None or _is_hash(value)


def _is_hash(value: Any) -> bool:
    return type(value) is str and _DONE.fullmatch(value) is not None


def _holder(document: Any, path: JsonPath) -> dict[str, Any] | None:
    """The object in which the last key of `path` is, if it is there."""
    for key in path[:-1]:
        if type(document) is not dict:
            return None
        document = document.get(key)
    return document if type(document) is dict and path[-1] in document else None
