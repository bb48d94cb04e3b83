"""When did it happen? The client's time, trusted unless its clock is provably wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from services.ingest.events import Rejected

# A clock further ahead than this is wrong; one that is behind cannot be told from a delayed retry.
CLOCK_AHEAD_MAX = timedelta(minutes=5)
# A clock that was never set says 1970, and a program's empty time the year 1.
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# An epoch number from here on is milliseconds: as seconds it would be the year 5138.
_MILLISECONDS_FROM = 1e11
# No client writes a moment longer than this.
_TEXT_CHARACTERS_MAX = 64


def moment(value: str | float, field: str) -> datetime:
    """The UTC instant of RFC 3339 text (UTC if it names no offset) or of an epoch number; that of the year 1 whatever
    its offset. Raises Rejected."""
    try:
        if type(value) is not str:
            return _from_epoch(float(value))
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is UTC:
            return parsed
        # In the first year an offset may lead to where no time is counted.
        known = parsed.tzinfo is None or parsed.year == 1
        return parsed.replace(tzinfo=UTC) if known else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Rejected("timestamp_invalid", f"Send {field} like 2026-11-20T10:00:00Z.") from error


def readable_moment(value: str | float) -> datetime | None:
    """The same, or None: for `sent_at`, which a whole batch shares and which only helps to find a wrong clock.

    Remembered for a while, so that it is read once for all events of its batch.
    """
    # Else texts as long as bodies would be remembered too.
    if type(value) is str and len(value) > _TEXT_CHARACTERS_MAX:
        return None
    return _remembered_moment(value)


@lru_cache(maxsize=64)
def _remembered_moment(value: str | float) -> datetime | None:
    try:
        return moment(value, "sentAt")
    except Rejected:
        return None


def occurrence(
    original_at: datetime | None,
    sent_at: datetime | None,
    received_at: datetime,
    historical_age: timedelta,
) -> tuple[datetime, tuple[str, ...]]:
    """(occurred_at, flags) of an event.

    Only a `sent_at` that is ahead of us proves a wrong clock, and then the age that the client saw is kept. What is
    still in the future, or was before `EARLIEST`, counts as received now. The result is the same for the
    same event sent again later, except where a clock is wrong.
    """
    if original_at is None:
        return received_at, ("no_timestamp",)
    occurred_at = original_at
    flags: tuple[str, ...] = ()
    if sent_at is not None and sent_at - received_at > CLOCK_AHEAD_MAX:
        flags = ("skewed",)
        try:
            occurred_at = received_at - (sent_at - original_at)
        except OverflowError:
            occurred_at = received_at
    if occurred_at - received_at > CLOCK_AHEAD_MAX or occurred_at < EARLIEST:
        return received_at, (*flags, "clamped")
    if received_at - occurred_at > historical_age:
        flags = (*flags, "historical")
    return occurred_at, flags


def _from_epoch(number: float) -> datetime:
    seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
    return _EPOCH + timedelta(seconds=seconds)
