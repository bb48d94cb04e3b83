"""API keys that came in bodies, blanked for places where keys must not be kept: the log and its dead letters."""

from __future__ import annotations

import re
from typing import Any

import msgspec

# Also a value that is cut off: in a dead letter it is the beginning of a key.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_WRITE_KEY = re.compile(rb'("writeKey"\s*+:\s*+)%b' % _TEXT, re.DOTALL)
_ANY_KEY = re.compile(rb'("(?:writeKey|write_key|api_key|token)"\s*+:\s*+)%b' % _TEXT, re.DOTALL)


def without_write_key(raw: bytes) -> bytes:
    """`raw` with the value of every `writeKey` blanked."""
    return _WRITE_KEY.sub(rb'\1""', raw) if b'"writeKey"' in raw else raw


def without_keys(raw: bytes) -> bytes:
    """The same for the names that every dialect has for a key, in an event that could not be read."""
    return _ANY_KEY.sub(rb'\1""', raw)


def without_key(raw: bytes, key: str | None) -> bytes:
    """`raw` with this key blanked where a PostHog client puts it; the fields may mean something else elsewhere."""
    if key is None or (given := key.encode()) not in raw:
        return raw
    return re.sub(rb'("(?:api_key|token)"\s*+:\s*+)"%b"' % re.escape(given), rb'\1""', raw)


def written_anew(document: Any, key: str | None) -> bytes:
    """The text of an event of which a value was changed, without the API key `key` of its body."""
    return without_key(without_write_key(msgspec.json.encode(document)), key)
