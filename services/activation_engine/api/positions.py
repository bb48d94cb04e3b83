"""Positions in logs as clients hand them back: the next number per partition, or a problem that says what to do."""

from __future__ import annotations

from schemas.positions import decode_position
from services.runtime.problems import Problem

# What the columns that they are compared with can hold.
_PARTITION_MAX = 2**31 - 1
_NUMBER_MAX = 2**63 - 1


def position_or_problem(text: str, *, code: str, message: str) -> dict[int, int]:
    """The number per partition in `text`; Problem 400 with `code` and `message` when it was not made by us."""
    try:
        position = decode_position(text)
    except (ValueError, RecursionError) as error:
        raise Problem(400, code, message) from error
    if not all(0 <= part <= _PARTITION_MAX and number <= _NUMBER_MAX for part, number in position.items()):
        raise Problem(400, code, message)
    return position
