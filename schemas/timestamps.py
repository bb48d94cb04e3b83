"""Time on the wire is RFC 3339 in UTC; inside it is integer milliseconds since 1970. These are the two conversions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY_MS = 86_400_000


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down; a naive `moment` is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def from_milliseconds(milliseconds: int) -> datetime:
    """The aware UTC datetime of `milliseconds` since the epoch; OverflowError outside years 1 to 9999."""
    return _EPOCH + milliseconds * _MILLISECOND


def to_rfc3339(milliseconds: int) -> str:
    """Like `2026-11-20T10:00:00Z`, with milliseconds only when there are any."""
    moment = from_milliseconds(milliseconds)
    spec = "milliseconds" if milliseconds % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
