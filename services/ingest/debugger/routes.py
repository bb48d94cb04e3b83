"""`GET /v1/events`: the newest events that were accepted, wait for their account, or were refused, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.topics import DEAD_EVENTS, PRODUCT_EVENTS, UNRESOLVED_EVENTS, Topic
from services.ingest.debugger.rows import EventStatus, Filters, picker, rule_of
from services.ingest.debugger.tails import RECORDS_MAX, Busy, Tail, TopicTails
from services.ingest.debugger.waiting import tell_waiting
from services.ingest.delivery import BrokerUnavailable
from services.runtime.access import Scope
from services.runtime.api import problem_responses
from services.runtime.cursors import LIMIT_DEFAULT, decode_cursor, encode_cursor
from services.runtime.key_ring import KeyRing, require
from services.runtime.problems import Problem

LIMIT_MAX = 200
_TOPICS: dict[EventStatus, Topic] = {"accepted": PRODUCT_EVENTS, "unresolved": UNRESOLVED_EVENTS, "dead": DEAD_EVENTS}
_CURSOR_INVALID = (400, "cursor_invalid", "Use the `next` of an earlier answer as cursor, or leave it out.")
_BROKER_AWAY = (503, "broker_unavailable", "The log cannot be read now; ask again after the seconds in Retry-After.")
_BUSY = (503, "overloaded", "Too many look at events at once; ask again after the seconds in Retry-After.")
_RETRY = {"retry-after": "2"}
_OFFSET_MAX = 2**63 - 1

_EXAMPLE: dict[str, Any] = {
    "message_id": "msg-91aa",
    "type": "track",
    "account_id": "acme",
    "user_id": "u-17",
    "event": "Report Generated",
    "source": "k7f3a2qwmz4tc",
    "route": None,
    "received_at": "2026-11-20T10:00:00.120Z",
    "occurred_at": "2026-11-20T09:59:58.500Z",
    "original_at": "2026-11-20T09:59:58.500Z",
    "sent_at": "2026-11-20T10:00:00Z",
    "role": None,
    "staff": False,
    "flags": [],
    "reason": None,
    "message": None,
    "body": {"type": "track", "event": "Report Generated", "userId": "u-17", "context": {"groupId": "acme"}},
    "status": "accepted",
    "at": "2026-11-20T10:00:00.131Z",
    "partition": 4,
    "offset": 1204,
    "resolved_by": "context.groupId",
    "waiting": None,
}
_EXAMPLE_ANSWER: dict[str, Any] = {
    "data": [_EXAMPLE],
    "next": "WyJhY2NlcHRlZCIseyI0IjoxMjA0fV0",
    "latest": "WyJhY2NlcHRlZCIseyI0IjoxMjA1fV0",
}


class EventDocument(BaseModel):
    """One event; what its record does not say is null."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    message_id: str | None
    type: str | None
    account_id: str | None
    user_id: str | None
    event: str | None = Field(description="The event's or command's name")
    source: str | None = Field(description="Public id of the API key that sent it")
    route: str | None = Field(description="Where a dead letter was sent to")
    received_at: datetime | None
    occurred_at: datetime | None = Field(description="The time that milestones use")
    original_at: datetime | None = Field(description="The client's timestamp as sent")
    sent_at: datetime | None
    role: str | None
    staff: bool = Field(description="Of the vendor's own people: counts for nothing")
    flags: list[str] = Field(description="`clamped`, `skewed`, `historical`, `no_timestamp`, `no_message_id`")
    reason: str | None = Field(description="Why it is unresolved or dead: a stable code")
    message: str | None = Field(description="What to change")
    body: Any = Field(description="As kept on the topic: what was redacted stays so. Text, when it is no JSON")
    status: EventStatus
    at: datetime = Field(description="When the record was written")
    partition: int
    offset: int
    resolved_by: str | None = Field(
        description="What named the account: a place in the event, `command`, `group`, or `user`: learned of its user"
    )
    waiting: bool | None = Field(
        description="Of an unresolved event: whether it still waits; false once its account became known or it expired"
    )


class EventList(BaseModel):
    """A page, newest first; `next` goes on with older ones, and `latest` is for `after`."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_ANSWER})

    data: list[EventDocument]
    next: str | None
    latest: str


class DebuggerParts(NamedTuple):
    """What the route reads: topics with this prefix and so many partitions, while a broker answers."""

    tails: TopicTails
    database: AsyncEngine
    prefix: str
    partitions: int
    available: Callable[[], bool]


_Id = Annotated[str | None, Query(min_length=1, max_length=1020)]
_Place = Annotated[str | None, Query(max_length=16_384)]


def event_routes(parts: DebuggerParts, *, ring: KeyRing) -> APIRouter:
    """The route."""
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get(
        "",
        summary="List newest events",
        dependencies=[Depends(require(ring, Scope.ACCOUNTS_READ))],
        response_class=Response,
        responses={
            200: {"model": EventList, "content": {"application/json": {"example": _EXAMPLE_ANSWER}}},
            **problem_responses(_CURSOR_INVALID, _BROKER_AWAY, _BUSY),
        },
        description="The newest events first, with what found their account or why they were not taken: `accepted` "
        "(commands included), `unresolved` (the account is not known yet) or `dead` (refused). Filters compare whole "
        f"values. One answer looks at {RECORDS_MAX:,} records at most and takes a few seconds: with rare matches a "
        "page may be short, or empty, although `next` goes on. `after` takes the `latest` of an earlier answer and "
        "shows what was written since. Scope `accounts:read`.",
    )
    async def list_events(
        status: EventStatus = "accepted",
        account_id: _Id = None,
        user_id: _Id = None,
        event: _Id = None,
        message_id: _Id = None,
        after: _Place = None,
        cursor: _Place = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    ) -> Response:
        if not parts.available():
            raise Problem(*_BROKER_AWAY, headers=_RETRY)
        pick = picker(status, Filters(account_id, user_id, event, message_id))
        try:
            tail = await parts.tails.newest(
                _TOPICS[status].named(parts.prefix),
                parts.partitions,
                pick=pick,
                limit=limit,
                below=_offsets(cursor, status),
                after=_offsets(after, status),
            )
        except Busy as error:
            raise Problem(*_BUSY, headers=_RETRY) from error
        except BrokerUnavailable as error:
            raise Problem(*_BROKER_AWAY, headers=_RETRY) from error
        return Response(await _page(tail, status, parts.database), media_type="application/json")

    return router


async def _page(tail: Tail, status: EventStatus, database: AsyncEngine) -> bytes:
    """The answer, whose rows say what found their account or whether they still wait for one."""
    rows = [one.row for one in tail.found]
    for row in rows:
        row.resolved_by = rule_of(row)
    if status == "unresolved" and rows:
        await tell_waiting(database, rows)
    following = None if tail.below is None else _place(status, tail.below)
    return msgspec.json.encode({"data": rows, "next": following, "latest": _place(status, tail.end)})


def _place(status: EventStatus, offsets: Mapping[int, int]) -> str:
    return encode_cursor([status, {str(partition): offset for partition, offset in offsets.items()}])


def _offsets(place: str | None, status: EventStatus) -> dict[int, int] | None:
    if place is None:
        return None
    of_status, offsets = decode_cursor(place, str, dict)
    sound = all(
        partition.isdecimal() and len(partition) <= 4 and type(offset) is int and 0 <= offset <= _OFFSET_MAX
        for partition, offset in offsets.items()
    )
    if of_status != status or not sound:
        raise Problem(*_CURSOR_INVALID)
    return {int(partition): offset for partition, offset in offsets.items()}
