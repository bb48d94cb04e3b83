"""The answer of `GET /v1/events` as it is documented, with an example."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.ingest.debugger.rows import EventStatus

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
EXAMPLE_ANSWER: dict[str, Any] = {
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

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_ANSWER})

    data: list[EventDocument]
    next: str | None
    latest: str
