"""The request that an attempt sends: Standard Webhooks headers over the stored bytes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.notifier.domain.endpoint_url import Target
from services.notifier.domain.signature import SigningKey, signature_header
from services.notifier.store.queue import Claimed
from services.runtime import VERSION

USER_AGENT = f"Firstvalue/{VERSION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An endpoint as the sender needs it: of one revision, with its keys and custom headers in the clear, keys newest
    first. `pace` is requests per second and the burst, `slots_seconds` its own retry schedule."""

    id: str
    revision: int
    target: Target
    keys: tuple[SigningKey, ...]
    timeout_seconds: float
    concurrency_max: int
    headers: Mapping[str, str] = field(default_factory=dict)
    pace: tuple[float, int] | None = None
    slots_seconds: tuple[float, ...] | None = None


def request_headers(delivery: Claimed, recipient: Recipient, *, now_seconds: float) -> dict[str, str]:
    """All headers but host and content-length, for an attempt made at `now_seconds` since 1970; ours win over the
    endpoint's own, whatever was stored."""
    timestamp_seconds = int(now_seconds)
    return {
        **recipient.headers,
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "accept-encoding": "identity",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp_seconds),
        "webhook-signature": signature_header(
            recipient.keys, message_id=delivery.message_id, timestamp_seconds=timestamp_seconds, body=delivery.body
        ),
        "webhook-attempt": str(delivery.attempts + 1),
        "traceparent": traceparent(delivery),
    }


def traceparent(delivery: Claimed) -> str:
    """W3C trace context: the trace of the record that brought the signal, else one derived from its id."""
    flags = (delivery.traceparent or "")[53:55] if _has_trace(delivery) else "00"
    return f"00-{trace_id(delivery)}-{random.getrandbits(64):016x}-{flags}"


def trace_id(delivery: Claimed) -> str:
    """The trace that the webhook belongs to, 32 hexadecimal digits."""
    if _has_trace(delivery):
        return (delivery.traceparent or "")[3:35]
    return hashlib.sha256(delivery.message_id.encode()).hexdigest()[:32]


def _has_trace(delivery: Claimed) -> bool:
    return delivery.traceparent is not None and delivery.traceparent[:3] == "00-" and len(delivery.traceparent) == 55
