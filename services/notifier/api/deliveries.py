"""`/v1/deliveries`: what became of each signal at each endpoint, and a retry by hand."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from services.notifier.api.documents import (
    AttemptDocument,
    DeliveryDocument,
    DeliveryList,
    DeliveryWithLog,
    PhasesDocument,
    QueuedDelivery,
)
from services.notifier.api.parts import NotifierApiParts
from services.notifier.domain.outcome import Status
from services.notifier.store.deliveries import Delivery, DeliveryFilter, LoggedAttempt
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, encode_cursor
from services.runtime.problems import Problem

_NOT_FOUND = (404, "delivery_not_found", "There is no such delivery; list the deliveries to find its id.")
_IN_FLIGHT = (409, "delivery_in_flight", "An attempt is under way; ask again when it has ended.")
_NOT_SENDABLE = (409, "endpoint_disabled", "The endpoint is disabled or deleted; enable it first.")
_ERASED = (409, "signal_erased", "The signal was erased with its account; there is nothing left to send.")
_ID = re.compile(r"dlv_([0-9]{1,18})")
_WORD = {"max_length": 255, "pattern": r"^[^\x00]*$"}


def delivery_routes(parts: NotifierApiParts) -> APIRouter:
    """List, show, retry."""
    store, may_read = parts.deliveries, Depends(parts.may_read)
    router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

    @router.get("", dependencies=[may_read], responses=problem_responses(CURSOR_INVALID))
    async def list_deliveries(
        wanted: Annotated[DeliveryFilter, Depends(_filter)],
        cursor: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    ) -> DeliveryList:
        """Deliveries, newest first."""
        before = decode_cursor(cursor, int)[0] if cursor else None
        rows = await store.page(wanted, before=before, limit=limit + 1)
        page = rows[:limit]
        following = encode_cursor([page[-1].id]) if len(rows) > limit else None
        return DeliveryList(data=[DeliveryDocument(**_fields(row)) for row in page], next=following)

    @router.get("/{delivery_id}", dependencies=[may_read], responses=problem_responses(_NOT_FOUND))
    async def get_delivery(delivery_id: str) -> DeliveryWithLog:
        """One delivery with each attempt."""
        found = await store.get(_number(delivery_id))
        if found is None:
            raise Problem(*_NOT_FOUND)
        delivery, attempts = found
        return DeliveryWithLog(**_fields(delivery), log=[_logged(attempt) for attempt in attempts])

    @router.post(
        "/{delivery_id}/retry",
        status_code=202,
        dependencies=[Depends(parts.may_write)],
        responses=problem_responses(_NOT_FOUND, _IN_FLIGHT, _NOT_SENDABLE, _ERASED),
    )
    async def retry_delivery(delivery_id: str) -> QueuedDelivery:
        """Send it now, in place of its next automatic attempt: the same id and bytes, a fresh timestamp."""
        number = _number(delivery_id)
        state = await store.retry_state(number)
        if state is None:
            raise Problem(*_NOT_FOUND)
        if state.erased:
            raise Problem(*_ERASED)
        if state.endpoint_deleted or not state.endpoint_enabled:
            raise Problem(*_NOT_SENDABLE)
        found = await store.get(number) if await store.retry(number) else None
        if found is None:
            raise Problem(*_IN_FLIGHT)
        parts.wake()
        return QueuedDelivery(delivery_id=delivery_id, signal_id=found[0].message_id)

    return router


def delivery_id_text(number: int) -> str:
    """The id as people see it."""
    return f"dlv_{number}"


async def _filter(
    status: Annotated[Status | None, Query()] = None,
    endpoint_id: Annotated[str | None, Query(**_WORD)] = None,
    endpoint: Annotated[str | None, Query(**_WORD, description="The same as endpoint_id")] = None,
    type: Annotated[str | None, Query(**_WORD)] = None,  # noqa: A002 - the name on the wire
    signal_id: Annotated[str | None, Query(**_WORD)] = None,
    account_id: Annotated[str | None, Query(**_WORD)] = None,
    since: Annotated[AwareDatetime | None, Query(description="Owed from this time on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Owed before this time")] = None,
) -> DeliveryFilter:
    return DeliveryFilter(
        status=status.value if status else None,
        endpoint_id=endpoint_id or endpoint,
        type=type,
        signal_id=signal_id,
        account_id=account_id,
        since=since,
        until=until,
    )


def _number(delivery_id: str) -> int:
    match = _ID.fullmatch(delivery_id)
    if match is None:
        raise Problem(*_NOT_FOUND)
    return int(match[1])


def _fields(delivery: Delivery) -> dict[str, Any]:
    # What is on the wire is due again when its lease ends.
    next_at = delivery.lease_until if delivery.status == Status.LEASED else delivery.next_at
    return {
        "id": delivery_id_text(delivery.id),
        "signal_id": delivery.message_id,
        "type": delivery.type,
        "account_id": delivery.account_id,
        "endpoint_id": delivery.endpoint_id,
        "status": delivery.status,
        "hold_reason": delivery.hold_reason,
        "attempts": delivery.attempts,
        "next_at": next_at if delivery.status in (Status.PENDING, Status.LEASED) else None,
        "created_at": delivery.created_at,
        "digest_id": delivery.digest_id,
    }


def _logged(attempt: LoggedAttempt) -> AttemptDocument:
    response = None if attempt.response is None else bytes(attempt.response).decode("utf-8", "replace")
    return AttemptDocument(
        at=attempt.at,
        number=attempt.number,
        trigger=attempt.trigger,
        result=attempt.result,
        status_code=attempt.status_code,
        duration_ms=attempt.duration_ms,
        response=response,
        error=attempt.error,
        late=attempt.late,
        phases=PhasesDocument(resolve_ms=attempt.resolve_ms, connect_ms=attempt.connect_ms, wait_ms=attempt.wait_ms),
    )
