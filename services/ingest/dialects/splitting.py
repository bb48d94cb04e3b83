"""Raw slices of a JSON array or object by its brackets alone, so that one malformed event does not spoil its batch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.ingest.events import BodyInvalid

# A text without an end runs to the end of the document: were it no match, each quote in it would be tried again as the
# start of another, in quadratic time. A "+" behind a repetition never gives back what it took, for the same reason.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_AT_THE_TOP = re.compile(rb'(?:[^\[\]{},"]++|%b)*+([\[\]{},])' % _STRING, re.DOTALL)
# Whole groups without a group inside are passed over too: they are most of the brackets of a document. They are atomic
# because Python before 3.11.5 goes on behind a group that began and failed, when it is repeated with "*+" (gh-106052).
_INSIDE = re.compile(
    rb'(?:[^\[\]{}"]++|%b|(?>[\[{](?:[^\[\]{}"]++|%b)*+[\]}]))*+([\[\]{}])' % (_STRING, _STRING), re.DOTALL
)
_KEY = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*+:', re.DOTALL)
# A thousand events have some ten thousand; this many take about 50 ms, in which nobody else is served.
_MARKS_MAX = 100_000


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
    depth = start = position = 1
    commas = 0
    for _ in range(_MARKS_MAX):
        found = (_AT_THE_TOP if depth == 1 else _INSIDE).match(document, position)
        if found is None:
            raise not_json("its end is missing")
        position = found.end()
        mark = found.group(1)
        if mark in b"[{":
            depth += 1
        elif mark == b",":
            yield document[start : position - 1].strip()
            start, commas = position, commas + 1
        elif depth > 1:
            depth -= 1
        else:
            yield from _last(document, start, position - 1, after_comma=commas > 0)
            if document[position:].strip():
                raise not_json("something follows its end")
            return
    raise not_json("it has too many brackets")


def _last(document: bytes, start: int, end: int, *, after_comma: bool) -> Iterator[bytes]:
    part = document[start:end].strip()
    if part or after_comma:
        yield part
