"""API keys that came in bodies, blanked for places where keys must not be kept: the log and its dead letters."""

from __future__ import annotations

import re
from typing import Any

import msgspec

# Also a value that is cut off: in a dead letter it is the beginning of a key.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_WRITE_KEY = re.compile(rb'("writeKey"\s*+:\s*+)%b' % _TEXT, re.DOTALL)
_ANY_KEY = re.compile(rb'("(?:writeKey|write_key|api_key|token)"\s*+:\s*+)%b' % _TEXT, re.DOTALL)
# By its own form, where no field tells: all of it but the id, which is public.
_READS_LIKE_A_KEY = re.compile(rb"(fv_[a-z2-7]{13}_)[a-z2-7]++(?:_[0-9a-f]*+)?+")
# Letters, digits and "_" as escapes, which nobody has to write: behind an even number of backslashes.
_NEEDLESS = rb"\\u00(3\d|[46][1-9A-Fa-f]|5[0-9AFaf]|7[0-9Aa])"
_NEEDLESS_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*+)%b" % _NEEDLESS)
# Looked for first, because it begins with what can be looked for fast.
_has_needless = re.compile(_NEEDLESS).search


def without_write_key(raw: bytes) -> bytes:
    """`raw` with the value of every `writeKey` blanked."""
    plain = _unescaped(raw)
    return _WRITE_KEY.sub(rb'\1""', plain) if b'"writeKey"' in plain else raw


def without_keys(raw: bytes) -> bytes:
    """The same for the names that every dialect has for a key, in an event that could not be read, and for our keys."""
    return _READS_LIKE_A_KEY.sub(rb"\1", _ANY_KEY.sub(rb'\1""', _unescaped(raw)))


def without_key(raw: bytes, key: str | None) -> bytes:
    """`raw` with this key blanked where a PostHog client puts it; the fields may mean something else elsewhere."""
    if key is None or (given := key.encode()) not in (plain := _unescaped(raw)):
        return raw
    return re.sub(rb'("(?:api_key|token)"\s*+:\s*+)"%b"' % re.escape(given), rb'\1""', plain)


def written_anew(document: Any, key: str | None) -> bytes:
    """The text of an event of which a value was changed, without the API key `key` of its body."""
    return without_key(without_write_key(msgspec.json.encode(document)), key)


def _unescaped(raw: bytes) -> bytes:
    """The same JSON without needless escapes, behind which names and keys could hide."""
    if b"\\u00" not in raw or _has_needless(raw) is None:
        return raw
    return _NEEDLESS_ESCAPE.sub(lambda found: found.group(1) + bytes.fromhex(found.group(2).decode()), raw)
