"""Notices go the way of every signal: a message and its deliveries, in the transaction of what they tell about."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.notices import (
    NOTICE_TYPES,
    DeliveryNotice,
    DeliveryRef,
    EndpointNotice,
    EndpointRef,
    Notice,
    encode_notice,
)
from services.notifier.domain.slack import slack_body

# An id is made of what happened, so that several replicas that see it announce it once.
_NAMESPACE = uuid.UUID("5e0b6d0e-5f5b-4c3c-9a39-2f6f6a1b7c55")
_HOURS = {1: 1, 2: 24, 3: 72}

_ADD = sa.text(
    """WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:types AS text[]), CAST(:bodies AS bytea[]),
            CAST(:slack_bodies AS bytea[])) AS g(id, type, body, slack_body)
    ), new AS (
        INSERT INTO notifier.message (id, type, origin, body, slack_body)
        SELECT id, type, 'live', body, slack_body FROM given
        ON CONFLICT (id) DO NOTHING RETURNING id, type
    )
    INSERT INTO notifier.delivery (message_id, endpoint_id, type, status, hold_reason, next_at)
    SELECT new.id, e.id, new.type, CASE WHEN e.enabled THEN 'pending' ELSE 'held' END,
        CASE WHEN NOT e.enabled THEN 'disabled' END, CASE WHEN e.enabled THEN now() END
    FROM new JOIN notifier.endpoint e
        ON e.deleted_at IS NULL AND e.types && ARRAY[new.type, split_part(new.type, '.', 1) || '.*']"""
)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A delivery that became exhausted."""

    delivery_id: int
    endpoint_id: str
    signal_id: str
    type: str
    attempts: int
    reason: str
    result: str


async def add_notices(connection: AsyncConnection, notices: Sequence[Notice]) -> None:
    """Owe `notices` to the endpoints that ask for their types; one known by its id already is dropped.

    The transaction holds KEEP_ENDPOINTS or CHANGE_ENDPOINTS.
    """
    if notices:
        parameters = {
            "ids": [notice.id for notice in notices],
            "types": [notice.type for notice in notices],
            "bodies": [encode_notice(notice) for notice in notices],
            "slack_bodies": [slack_body({"type": each.type, "summary": each.summary}) for each in notices],
        }
        await connection.execute(_ADD, parameters)


def exhausted(given_up: GivenUp) -> DeliveryNotice | None:
    """None of a delivery that was a notice itself: nobody would be told of the end of the telling."""
    if given_up.type in NOTICE_TYPES:
        return None
    return DeliveryNotice(
        type="delivery.exhausted",
        id=_id("exhausted", given_up.delivery_id, given_up.attempts),
        timestamp=_now(),
        summary=f"{given_up.type} to endpoint {given_up.endpoint_id} was given up after {given_up.attempts} attempts; "
        "retry it by hand.",
        endpoint=EndpointRef(given_up.endpoint_id),
        delivery=DeliveryRef(f"dlv_{given_up.delivery_id}", given_up.signal_id, given_up.type, given_up.attempts),
        reason=given_up.reason,
        result=given_up.result,
    )


def failing(endpoint_id: str, failing_since: datetime, stage: int) -> EndpointNotice:
    """`stage` 1, 2, 3: every attempt has failed for 1, 24, 72 hours."""
    hours = _HOURS[stage]
    return EndpointNotice(
        type="endpoint.failing",
        id=_id("failing", endpoint_id, failing_since.timestamp(), stage),
        timestamp=_now(),
        summary=f"Every attempt at endpoint {endpoint_id} has failed for {hours} hour{'s' * (hours > 1)}.",
        endpoint=EndpointRef(endpoint_id),
        reason="attempts",
        failing_since=failing_since,
    )


def backlog_full(endpoint_id: str, waiting_max: int) -> EndpointNotice:
    """At most one a day and endpoint."""
    now = _now()
    return EndpointNotice(
        type="endpoint.failing",
        id=_id("backlog_full", endpoint_id, now.date()),
        timestamp=now,
        summary=f"{waiting_max} deliveries wait for endpoint {endpoint_id}; further ones are held until fewer do.",
        endpoint=EndpointRef(endpoint_id),
        reason="backlog_full",
    )


def disabled(endpoint_id: str, reason: str, failing_since: datetime | None, revision: int) -> EndpointNotice:
    """`revision` is the endpoint's, which tells one disabling from the next."""
    return EndpointNotice(
        type="endpoint.disabled",
        id=_id("disabled", endpoint_id, revision),
        timestamp=_now(),
        summary=f"Endpoint {endpoint_id} is disabled ({reason}); new signals for it are held.",
        endpoint=EndpointRef(endpoint_id),
        reason=reason,
        failing_since=failing_since,
    )


def recovered(endpoint_id: str, failing_since: datetime) -> EndpointNotice:
    """Of an endpoint that was said to fail before."""
    return EndpointNotice(
        type="endpoint.recovered",
        id=_id("recovered", endpoint_id, failing_since.timestamp()),
        timestamp=_now(),
        summary=f"Endpoint {endpoint_id} answers again; what waited for it is being sent.",
        endpoint=EndpointRef(endpoint_id),
        failing_since=failing_since,
    )


def _id(*parts: object) -> str:
    return str(uuid.uuid5(_NAMESPACE, " ".join(map(str, parts))))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
