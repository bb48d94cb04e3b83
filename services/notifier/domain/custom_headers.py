"""Headers that a subscriber adds to its webhooks: few, short, and never in place of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

HEADERS_MAX = 20
HEADERS_BYTES_MAX = 4096
# RFC 9110: the name is a token; the value is kept to visible ASCII with spaces and tabs inside, because every byte
# beyond that is read differently somewhere.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
# Ours, and those that say how the bytes travel.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "traceparent",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_RESERVED_FAMILIES = ("webhook-", "proxy-")
# `: ` and CRLF of each line.
_LINE_EXTRA_BYTES = 4


class HeadersRefused(ValueError):
    """The headers cannot be sent; the message says which and why, never a value: it may be a credential."""


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` with names in lower case; HeadersRefused when there are too many or one cannot be sent."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise HeadersRefused(f"Write the header name {name[:50]!r} in letters, digits and dashes.")
        if lower in _RESERVED or lower.startswith(_RESERVED_FAMILIES):
            raise HeadersRefused(f"Leave out the header {lower}: it is set for every webhook; choose another name.")
        if lower in checked:
            raise HeadersRefused(f"Write the header {lower} once; case makes no difference.")
        if not _VALUE.fullmatch(value):
            raise HeadersRefused(f"Write the value of {lower} in plain ASCII on one line, without spaces at its ends.")
        checked[lower] = value
    total = sum(len(name) + len(value) + _LINE_EXTRA_BYTES for name, value in checked.items())
    if len(checked) > HEADERS_MAX or total > HEADERS_BYTES_MAX:
        raise HeadersRefused(
            f"Send at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes together, names and line ends counted; "
            f"these are {len(checked)} of {total} bytes."
        )
    return checked
