"""Client addresses in events are kept without the part that tells a person: as their /24, or /48 in version 6."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import msgspec

from services.ingest.blanking import written_anew
from services.ingest.events import IncomingEvent
from services.ingest.json_paths import JsonPath
from services.ingest.redaction import is_hash

# Of the bytes of an address by how many it has.
_KEPT_BYTES: Final = {4: 3, 16: 6}


class ClientAddresses:
    """Truncates the addresses at some paths of an event, whatever its dialect; without paths it changes nothing."""

    def __init__(self, paths: Sequence[JsonPath]) -> None:
        # Each object that may hold some, with their keys in it: this is looked for in every event.
        places: dict[JsonPath, list[str]] = {}
        for path in paths:
            places.setdefault(path[:-1], []).append(path[-1])
        self._places = tuple(places.items())
        self._names = frozenset(path[-1] for path in paths)
        spellings = b"|".join(map(_spellings, self._names))
        self._name_in_text = re.compile(rb"""(?<!\w)(?:%b)["']?\s*+:\s*+""" % spellings)

    def truncate(self, event: IncomingEvent, key: str | None) -> None:
        """In an event that was read; `key` is the API key of its body, and must not stand in a text written anew."""
        changed = False
        for outer, names in self._places:
            holder: Any = event.document
            for outer_key in outer:
                holder = holder.get(outer_key) if type(holder) is dict else None
            if type(holder) is not dict:
                continue
            for name in names:
                if name in holder and (short := truncated(holder[name])) != holder[name]:
                    holder[name], changed = short, True
        if changed:
            event.body = written_anew(event.document, key)

    def blank(self, item: bytes) -> bytes:
        """The text of an event that is refused, without what stands under such a name; it ends there if it is no JSON.

        Anywhere in it: what is refused may name its address in the wrong place.
        """
        found = self._name_in_text.search(item) if self._names else None
        if found is None:
            return item
        try:
            document = msgspec.json.decode(item)
            self._blank_all(document)
            return msgspec.json.encode(document)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return item[: found.end()] + b'""'

    def _blank_all(self, document: Any) -> None:
        left = [document]
        while left:
            value = left.pop()
            if type(value) is dict:
                value.update(dict.fromkeys(self._names & value.keys(), ""))
                left.extend(value.values())
            elif type(value) is list:
                left.extend(value)


def truncated(value: Any) -> str | None:
    """One address, or several after commas, without their last part; None for what is no address but may hold one.

    A hash stays, because it tells nothing.
    """
    if is_hash(value):
        return str(value)
    try:
        return ", ".join(map(_network_of, value.split(",")))
    except (AttributeError, ValueError):
        return None


def _network_of(text: str) -> str:
    address = ip_address(text.strip())
    if isinstance(address, IPv6Address):
        # Their first 48 bits are, or tell, a whole address of version 4.
        address = address.ipv4_mapped or address.sixtofour or address
    packed = address.packed
    return str(ip_address(packed[: _KEPT_BYTES[len(packed)]].ljust(len(packed), b"\0")))


def _spellings(name: str) -> bytes:
    """A pattern for the ways in which JSON may write a name."""
    return b"".join(map(_spellings_of_character, name))


def _spellings_of_character(character: str) -> bytes:
    plain = re.escape(msgspec.json.encode(character)[1:-1])
    units = character.encode("utf-16-be")
    escaped = b"".join(rb"\\u%b" % units[at : at + 2].hex().encode() for at in range(0, len(units), 2))
    return rb"(?:%b|(?i:%b))" % (plain, escaped)
