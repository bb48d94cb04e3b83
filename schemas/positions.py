"""The `position` of an accepted command: where in the log it stands, opaque to clients, read by the engine's API."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

_PARTITIONS_MAX = 1024


def encode_position(next_offsets: Mapping[int, int]) -> str:
    """URL-safe text; `next_offsets` holds, per partition written, the offset after the last record."""
    ordered = {str(partition): next_offsets[partition] for partition in sorted(next_offsets)}
    return base64.urlsafe_b64encode(json.dumps(ordered, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_position(position: str) -> dict[int, int]:
    """The next offset per partition; ValueError if `position` is not one of ours."""
    padded = position + "=" * (-len(position) % 4)
    found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(found, dict) or len(found) > _PARTITIONS_MAX:
        raise ValueError("not a position")
    offsets = {int(partition): offset for partition, offset in found.items()}
    if not all(type(offset) is int and offset >= 0 for offset in offsets.values()):
        raise ValueError("not a position")
    return offsets
