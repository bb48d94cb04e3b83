"""Notices: what the notifier says of its own work, as webhooks to endpoints that ask for these types."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

ENDPOINT_NOTICE_TYPES = ("endpoint.failing", "endpoint.disabled", "endpoint.recovered")
DELIVERY_NOTICE_TYPES = ("delivery.exhausted",)
NOTICE_TYPES = ENDPOINT_NOTICE_TYPES + DELIVERY_NOTICE_TYPES


class EndpointRef(msgspec.Struct):
    """The endpoint as its owners know it; its URL may hold secrets and is not told."""

    id: str


class DeliveryRef(msgspec.Struct):
    """The delivery, and the signal that it was to bring."""

    id: str
    signal_id: str
    type: str
    attempts: int


class EndpointNotice(msgspec.Struct):
    """Of an endpoint that fails (for 1, 24, 72 h, or because its backlog is full), was disabled, or is well again.

    `reason` of a disabled endpoint: `gone` (410), `manual`, `failing` (five days without a success); of a failing one
    `attempts` or `backlog_full`.
    """

    type: Literal["endpoint.failing", "endpoint.disabled", "endpoint.recovered"]
    id: str
    timestamp: datetime
    summary: str
    endpoint: EndpointRef
    reason: str | None = None
    failing_since: datetime | None = None


class DeliveryNotice(msgspec.Struct):
    """Of a delivery that was given up; it can be retried by hand. `reason` is `schedule` or `deadline`."""

    type: Literal["delivery.exhausted"]
    id: str
    timestamp: datetime
    summary: str
    endpoint: EndpointRef
    delivery: DeliveryRef
    reason: str
    result: str


Notice = EndpointNotice | DeliveryNotice
encode_notice = msgspec.json.Encoder().encode
