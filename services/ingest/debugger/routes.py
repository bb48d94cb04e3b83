"""`GET /v1/events`: the newest events that were accepted, wait for their account, or were refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.topics import DEAD_EVENTS, PRODUCT_EVENTS, UNRESOLVED_EVENTS, Topic
from services.ingest.debugger.documents import EXAMPLE_ANSWER, EventList
from services.ingest.debugger.places import topic_offsets, topic_place, waiting_place, waiting_place_of
from services.ingest.debugger.rows import EventRow, EventStatus, Filters, picker
from services.ingest.debugger.tails import RECORDS_MAX, Busy, Tail, TopicTails
from services.ingest.debugger.waiting import Before, tell_waiting, waiting_before
from services.ingest.delivery import BrokerUnavailable
from services.runtime.access import Scope
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, LIMIT_DEFAULT
from services.runtime.key_ring import KeyRing, require
from services.runtime.problems import Problem

LIMIT_MAX = 200
_TOPICS: dict[EventStatus, Topic] = {"accepted": PRODUCT_EVENTS, "unresolved": UNRESOLVED_EVENTS, "dead": DEAD_EVENTS}
_BROKER_AWAY = (503, "broker_unavailable", "The log cannot be read now; ask again after the seconds in Retry-After.")
_BUSY = (503, "overloaded", "Too many look at events at once; ask again after the seconds in Retry-After.")
_RETRY = {"retry-after": "2"}


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
            200: {"model": EventList, "content": {"application/json": {"example": EXAMPLE_ANSWER}}},
            **problem_responses(CURSOR_INVALID, _BROKER_AWAY, _BUSY),
        },
        description="The newest events first, with what found their account or why they were not taken: `accepted` "
        "(commands included), `unresolved` (the account is not known yet) or `dead` (refused). Filters compare whole "
        f"values. One answer looks at {RECORDS_MAX:,} records at most and takes a few seconds: with rare matches a "
        "page may be short, or empty, although `next` goes on. After the unresolved events found so come all others "
        "that wait, whether the topic still has them or not. `after` takes the `latest` of an earlier answer and shows "
        "what was written since. Scope `accounts:read`.",
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
        filters = Filters(account_id, user_id, event, message_id)
        before = waiting_place_of(cursor)
        if status == "unresolved" and before is not None:
            rows, following = await waiting_before(parts.database, before, filters, most=limit)
            return _answer(rows, _next(following), topic_place(status, before.end))
        tail = await _newest(parts, status, filters, limit, cursor=cursor, after=after)
        next_ = topic_place(status, tail.start) if tail.more else None
        rows = [one.row for one in tail.found]
        if status == "unresolved":
            await tell_waiting(parts.database, rows)
            if after is None and not tail.full:
                next_ = await _fill(parts.database, rows, tail, filters, limit, otherwise=next_)
        return _answer(rows, next_, topic_place(status, tail.end))

    return router


async def _newest(
    parts: DebuggerParts, status: EventStatus, filters: Filters, limit: int, *, cursor: str | None, after: str | None
) -> Tail:
    """The end of the topic of `status`; raises Problem."""
    if not parts.available():
        raise Problem(*_BROKER_AWAY, headers=_RETRY)
    try:
        return await parts.tails.newest(
            _TOPICS[status].named(parts.prefix),
            parts.partitions,
            pick=picker(status, filters),
            limit=limit,
            below=topic_offsets(cursor, status),
            after=topic_offsets(after, status),
        )
    except Busy as error:
        raise Problem(*_BUSY, headers=_RETRY) from error
    except BrokerUnavailable as error:
        raise Problem(*_BROKER_AWAY, headers=_RETRY) from error


async def _fill(
    database: AsyncEngine, rows: list[EventRow], tail: Tail, filters: Filters, limit: int, *, otherwise: str | None
) -> str | None:
    """Add what waits since before all that was looked at; where to go on, `otherwise` while the database is away."""
    try:
        more, following = await waiting_before(database, Before(tail.start, tail.end), filters, most=limit - len(rows))
    except (SQLAlchemyError, OSError):
        return otherwise
    rows += more
    return _next(following)


def _next(before: Before | None) -> str | None:
    return None if before is None else waiting_place(before)


def _answer(rows: list[EventRow], next_: str | None, latest: str) -> Response:
    return Response(msgspec.json.encode({"data": rows, "next": next_, "latest": latest}), media_type="application/json")
