"""A receiver accepts what the endpoint's secret signed, refuses everything else, and fails only as often as told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from deploy.demo.receivers import Arrival, Receiver

_SECRET = "whsec_" + "c2VjcmV0" * 4
_BODY = json.dumps({"id": "s1", "type": "account.stalled"}).encode()


def _signed(webhook_id: str, *, secret: str = _SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    moment = datetime.now(UTC) - age
    signature = Webhook(secret).sign(msg_id=webhook_id, timestamp=moment, data=_BODY.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def _receiver(*, failures: int = 0) -> Receiver:
    receiver = Receiver("desk", ("account.*",), failures=failures)
    receiver.secret = _SECRET
    return receiver


def _judge(receiver: Receiver, headers: dict[str, str], body: bytes = _BODY) -> Arrival:
    return receiver.judge(headers, body, arrived_at_seconds=1.0)


def test_signed_request_is_a_delivery() -> None:
    """The body is passed on as parsed."""
    arrival = _judge(_receiver(), _signed("s1"))
    assert arrival.is_delivery
    assert arrival.signal == json.loads(_BODY)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (_signed("s1", secret="whsec_" + "b3RoZXJz" * 4), _BODY),
        (_signed("s1", age=timedelta(minutes=10)), _BODY),
        (_signed("s1"), _BODY + b" "),
        (_signed("s1") | {"webhook-id": "s2"}, _BODY),
        (_signed("s1") | {"webhook-signature": "v1a,AAAA"}, _BODY),
        ({}, _BODY),
    ],
    ids=["other secret", "old", "other body", "other id", "no known signature", "unsigned"],
)
def test_forged_request_is_refused(headers: dict[str, str], body: bytes) -> None:
    """It is answered 401 and is no delivery."""
    arrival = _judge(_receiver(), headers, body)
    assert (arrival.status, arrival.signal, arrival.is_delivery) == (401, None, False)


def test_first_verified_requests_fail_as_told() -> None:
    """Forged ones do not use the failures up; attempts are counted per webhook-id."""
    receiver = _receiver(failures=2)
    statuses = [
        _judge(receiver, headers).status for headers in (_signed("a"), {}, _signed("b"), _signed("a"), _signed("b"))
    ]
    assert statuses == [500, 401, 500, 200, 200]
    assert _judge(receiver, _signed("a")).attempt == 3
