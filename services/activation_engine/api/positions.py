"""Places in streams as clients hold them: opaque texts that name a number for each partition."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from services.runtime.problems import Problem

_PARTITIONS_MAX = 4096
_OFFSET_MAX = 2**63 - 1


def encode_places(places: Mapping[int, int]) -> str:
    """URL-safe text of a number per partition."""
    text = json.dumps({str(part): number for part, number in sorted(places.items())}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_places(text: str, *, code: str, message: str) -> dict[int, int]:
    """The number per partition in `text`; Problem 400 with `code` and `message` when it was not made by us."""
    try:
        decoded = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(decoded, dict) or len(decoded) > _PARTITIONS_MAX:
            raise ValueError(text)
        return {_partition(part): _number(number) for part, number in decoded.items()}
    except (ValueError, RecursionError) as error:
        raise Problem(400, code, message) from error


def _partition(part: str) -> int:
    if not (part.isascii() and part.isdigit() and len(part) <= 9):
        raise ValueError(part)
    return int(part)


def _number(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _OFFSET_MAX:
        raise ValueError(number)
    return number
