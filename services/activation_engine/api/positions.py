"""Positions in logs as clients hand them back: the next number per partition, or a problem that says what to do."""

from __future__ import annotations

from schemas.positions import decode_position
from services.activation_engine.reading.shared_read import SharedRead
from services.runtime.problems import Problem

NOT_YET_APPLIED = (504, "not_yet_applied", "The engine did not get here in time; ask again with the same `after`.")
POSITION_INVALID = (400, "position_invalid", "Send `position` of an answer of POST /v1/commands as `after`, unchanged.")

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


class AppliedPositions:
    """Waits until the engine has come to a position; `next_offsets` holds the first unapplied offset per partition."""

    def __init__(self, next_offsets: SharedRead[dict[int, int]], *, wait_seconds: float) -> None:
        self._next_offsets = next_offsets
        self._wait_seconds = wait_seconds

    async def wait_for(self, position: str) -> None:
        """Return when `position` is applied; Problem 400 `position_invalid` or 504 `not_yet_applied`."""
        wanted = position_or_problem(position, code=POSITION_INVALID[1], message=POSITION_INVALID[2])

        def reached(next_offsets: dict[int, int]) -> bool:
            return all(next_offsets.get(part, 0) >= offset for part, offset in wanted.items())

        if not await self._next_offsets.wait_until(reached, timeout_seconds=self._wait_seconds):
            raise Problem(*NOT_YET_APPLIED)
