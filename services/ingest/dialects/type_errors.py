"""A value of the wrong type, told to whoever wrote the JSON: which field, what it takes, and what it was given."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_TYPES = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`")
_WORDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a decimal number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}


def in_words(error: msgspec.ValidationError) -> str:
    """What to send instead, as the end of a sentence: "send `context` as an object or null, not as text".

    Nothing of the value is told, which may be long and is not ours.
    """
    found = _AT.fullmatch(str(error))
    what, place = found.groups() if found else (str(error), "")
    field = f"`{place}`" if place else "it"
    if missing := _MISSING.fullmatch(what):
        return f"`{missing[1]}` is missing"
    if types := _TYPES.fullmatch(what):
        *others, last = (_WORDS.get(name, name) for name in types[1].split(" | "))
        taken = f"{', '.join(others)} or {last}" if others else last
        return f"send {field} as {taken}, not as {_WORDS.get(types[2], types[2])}"
    return f"{field} is not written as it has to be"
