"""Raw slices of a JSON array or object by its brackets alone, so that one malformed event does not spoil its batch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.ingest.events import BodyInvalid

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:', re.DOTALL)


def elements(array: bytes) -> Iterator[bytes]:
    """The elements of an array, unparsed and stripped; raises BodyInvalid where its brackets do not match."""
    return _parts(array, opening=b"[")


def members(document: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys (without quotes, still escaped) and unparsed values of an object; raises BodyInvalid."""
    for part in _parts(document, opening=b"{"):
        key = _KEY.match(part)
        if key is None:
            raise not_json("a key and a colon are missing")
        yield key.group(1), part[key.end() :].strip()


def not_json(reason: str) -> BodyInvalid:
    """The refusal of a body that is no JSON at all."""
    return BodyInvalid("body_not_json", f"Send one valid JSON document: {reason}.")


def _parts(document: bytes, *, opening: bytes) -> Iterator[bytes]:
    if not document.startswith(opening):
        raise not_json(f"it does not start with {opening.decode()}")
    depth = start = commas = 0
    for token in _TOKEN.finditer(document):
        first = token.group()[0]
        if first in b"[{":
            depth += 1
            if depth == 1:
                start = token.end()
        elif first in b"]}":
            depth -= 1
            if depth == 0:
                yield from _last(document, start, token.start(), after_comma=commas > 0)
                if document[token.end() :].strip():
                    raise not_json("something follows its end")
                return
        elif first == ord(",") and depth == 1:
            yield document[start : token.start()].strip()
            start, commas = token.end(), commas + 1
    raise not_json("its end is missing")


def _last(document: bytes, start: int, end: int, *, after_comma: bool) -> Iterator[bytes]:
    part = document[start:end].strip()
    if part or after_comma:
        yield part
