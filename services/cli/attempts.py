"""What became of a delivery that somebody is waiting for, in words."""

from __future__ import annotations

import time
from typing import Any

from services.cli.client import Client, segment

# The longest attempt, and the pauses around it.
_WAIT_SECONDS = 35.0
_PAUSE_SECONDS = 0.1

_REASONS = {
    "http_3xx": "It redirected, which is never followed: register the address that it leads to.",
    "http_4xx": "It refused the request: check the URL, and what its receiver expects.",
    "http_410": "It is gone by its own word, and was disabled: `firstvalue endpoint enable` if that was wrong.",
    "http_429": "It asked for a pause and gets one.",
    "http_5xx": "It failed itself: look into the receiver's log.",
    "dns": "Its name has no address: check the spelling of the host.",
    "blocked_address": "Its address is not open to webhooks: use a public one, or ask whoever operates the notifier.",
    "connect": "Nothing accepts connections there: is the receiver running, and the port right?",
    "tls": "Its certificate cannot be verified: renew it, or have the operator trust its authority.",
    "timeout": "It did not answer in time: answer first and work afterwards, or allow it more with --timeout.",
    "reset": "It ended the connection without an answer.",
    "protocol": "What it answered is not HTTP.",
    "internal": "The notifier failed, not the endpoint: its log has the reason.",
}


def under_way(delivery_id: str) -> str:
    """What is said of one that nobody waits for."""
    return f"{delivery_id} is on its way; `firstvalue delivery show {delivery_id}` tells what became of it"


def followed(client: Client, delivery_id: str) -> dict[str, Any]:
    """The delivery once an attempt has ended, or as it stands when that takes too long."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        delivery: dict[str, Any] = client.ask("GET", f"/v1/deliveries/{segment(delivery_id)}")
        if delivery["log"] or time.monotonic() > deadline:
            return delivery
        time.sleep(_PAUSE_SECONDS)


def told(delivery: dict[str, Any]) -> str:
    """One or two sentences on its newest attempt."""
    if not delivery["log"]:
        return (
            "No attempt has ended yet: its hours of delivery, its rate or a pause that it asked for may hold it; "
            f"`firstvalue delivery show {delivery['id']}` tells later."
        )
    attempt = delivery["log"][-1]
    took = f"after {attempt['duration_ms']} ms"
    if attempt["result"] == "http_2xx":
        return f"It answered {attempt['status_code']} {took}."
    status = f"It answered {attempt['status_code']} {took}." if attempt["status_code"] else f"It failed {took}."
    reason = _REASONS.get(attempt["result"], attempt["result"])
    again = f" It is tried again at {delivery['next_at']}." if delivery["status"] == "pending" else ""
    return f"{status} {reason}{again}"
