"""Refusals of an operator's verbs as problems, with the status that each is answered with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from services.activation_engine.log_probe import LogUnreachable
from services.activation_engine.operations import refusals as refused
from services.runtime.problems import Problem

DEAD_LETTER_UNKNOWN = (404, *refused.LETTER_UNKNOWN)
DEAD_LETTER_ERASED = (409, *refused.LETTER_ERASED)
PARTITION_UNKNOWN = (404, *refused.PARTITION_UNKNOWN)
NOT_STOPPED = (409, *refused.NOT_STOPPED)
REASON_DIFFERS = (409, "reason_differs", "It is stopped for `tail_lost`: look again, and decide about that.")
PARTITION_CHANGED = (409, *refused.PARTITION_CHANGED)
OFFSET_OUTSIDE = (422, "offset_outside_log", "The log holds offsets 100 to 900: choose `from` among them.")
RANGE_OUTSIDE = (422, "range_outside_ledger", "The partition's signals are numbered 1 to 90: choose among them.")
BROKER_UNAVAILABLE = (503, "broker_unavailable", "Kafka is away; try again after the seconds in Retry-After.")
_STATUSES = {
    code: status
    for status, code, _ in (
        DEAD_LETTER_UNKNOWN,
        DEAD_LETTER_ERASED,
        PARTITION_UNKNOWN,
        NOT_STOPPED,
        REASON_DIFFERS,
        PARTITION_CHANGED,
        OFFSET_OUTSIDE,
        RANGE_OUTSIDE,
    )
}


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What is refused inside ends the request with its problem; so does a broker that is away."""
    try:
        yield
    except refused.Refused as error:
        raise Problem(_STATUSES[error.code], error.code, error.message) from error
    except LogUnreachable as error:
        raise Problem(*BROKER_UNAVAILABLE, headers={"retry-after": "5"}) from error
