"""What one attempt means: its result from a closed set, and what becomes of the delivery and of the endpoint's gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import IntEnum, StrEnum

from services.notifier.domain.schedule import Schedule, delay_seconds

GATE_SECONDS_MAX = 24 * 3600.0
GATE_SECONDS_DEFAULT = 60.0
# What failed on our side is not charged, so the schedule does not slow it down; a log full of it helps nobody.
INTERNAL_SECONDS = 300.0


class Result(StrEnum):
    """The closed set of results of an attempt."""

    HTTP_2XX = "http_2xx"
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_410 = "http_410"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"
    DNS = "dns"
    BLOCKED_ADDRESS = "blocked_address"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    INTERNAL = "internal"


class Status(StrEnum):
    """The states of a delivery."""

    PENDING = "pending"
    LEASED = "leased"
    HELD = "held"
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"
    DIGESTED = "digested"


class Priority(IntEnum):
    """What is sent first when not everything can be; a delivery never rises."""

    FIRST = 0
    RETRY = 1
    REPLAY = 2


# The states that a replay takes up unless told otherwise: all that did not end well and is not on the wire.
REPLAYABLE = (Status.EXHAUSTED.value, Status.CANCELLED.value, Status.HELD.value, Status.PENDING.value)


class Exhaustion(StrEnum):
    """Why a delivery was given up."""

    SCHEDULE = "schedule"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an attempt got: `status_code` and `retry_after_seconds` only when the endpoint answered."""

    result: Result
    status_code: int | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Where an attempt's time went, in milliseconds: looking up the name, connecting with TLS, waiting for the head of
    the answer; None for a phase that it did not end. The rest of the duration is the body."""

    resolve_ms: int | None = None
    connect_ms: int | None = None
    wait_ms: int | None = None


NO_PHASES = Phases()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to record: the delivery's next state, whether the failure counts, and what happens to the endpoint."""

    status: Status
    delay_seconds: float = 0.0
    counts: bool = True
    gate_seconds: float | None = None
    disables: bool = False
    exhaustion: Exhaustion | None = None


def result_of(status_code: int) -> Result:
    """The result of a complete answer; only 200-299 is success, and a redirect is a failure."""
    if status_code == 410:
        return Result.HTTP_410
    if status_code == 429:
        return Result.HTTP_429
    by_hundred = {2: Result.HTTP_2XX, 3: Result.HTTP_3XX, 4: Result.HTTP_4XX, 5: Result.HTTP_5XX}
    return by_hundred.get(status_code // 100, Result.PROTOCOL)


def parse_retry_after(text: str | None, *, date: str | None = None, now_seconds: float) -> float | None:
    """Seconds asked for by a Retry-After header (a number or an HTTP date), at most 24 h; None when it is garbage.

    A date was written by the clock of the answer's own `date` header, and is compared with that; with ours,
    `now_seconds`, only without one. Two clocks that differ would make a pause of minutes one of a day, or none.
    """
    text = (text or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), GATE_SECONDS_MAX)
    until = _http_date(text)
    if until is None:
        return None
    asked_at = _http_date(date or "")
    seconds = until - (now_seconds if asked_at is None else asked_at)
    return min(max(seconds, 0.0), GATE_SECONDS_MAX)


def _http_date(text: str) -> float | None:
    """Seconds since 1970; None when it is no date."""
    try:
        moment = parsedate_to_datetime(text)
        # HTTP's dates are all in UTC, also that of C's asctime, which does not say so.
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def decide(answer: Answer, *, failures: int, age_seconds: float, schedule: Schedule, chance: float) -> Decision:
    """What follows from `answer` for a delivery `age_seconds` old that had `failures` counted failures before.

    `chance` is uniform in [0, 1).
    """
    if answer.result is Result.HTTP_2XX:
        return Decision(status=Status.SUCCEEDED, counts=False)
    gate_seconds = _gate_seconds(answer)
    counts = gate_seconds is None and answer.result is not Result.INTERNAL
    slot = schedule.slot(failures + 1)
    asked_seconds = max(gate_seconds or 0.0, answer.retry_after_seconds or 0.0)
    # What is not charged is no last attempt: where the schedule is used up it comes back as after the first failure.
    floor_seconds = max(
        slot or schedule.slots_seconds[0],
        asked_seconds,
        INTERNAL_SECONDS if answer.result is Result.INTERNAL else 0.0,
    )
    delay = delay_seconds(floor_seconds, chance)
    exhaustion = None
    if slot is None and counts:
        exhaustion = Exhaustion.SCHEDULE
    elif age_seconds + delay > schedule.deadline_seconds:
        exhaustion = Exhaustion.DEADLINE
    return Decision(
        status=Status.EXHAUSTED if exhaustion else Status.PENDING,
        delay_seconds=0.0 if exhaustion else delay,
        counts=counts,
        gate_seconds=gate_seconds,
        disables=answer.result is Result.HTTP_410,
        exhaustion=exhaustion,
    )


def _gate_seconds(answer: Answer) -> float | None:
    """How long the whole endpoint asks to be left alone; None when only this delivery failed.

    A Retry-After of no time asks for nothing: free of charge it would bring every delivery back for days.
    """
    if answer.status_code in (429, 503):
        return GATE_SECONDS_DEFAULT if answer.retry_after_seconds is None else answer.retry_after_seconds or None
    return GATE_SECONDS_DEFAULT if answer.status_code in (502, 504) else None
