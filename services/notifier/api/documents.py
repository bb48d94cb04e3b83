"""Bodies of requests and answers, each with an example."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.notifier.api.endpoint_terms import EXAMPLE, DeliveryWindowTerm

_ENDPOINT: dict[str, Any] = {
    "id": "ep_k7f3a2qwmz4tchj5pv8n",
    **{name: value for name, value in EXAMPLE.items() if name != "headers"},
    "header_names": sorted(EXAMPLE["headers"]),
    "window_open": True,
    "status": "enabled",
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-20T10:00:00Z",
}
_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # noqa: S105 - an example
_DELIVERY: dict[str, Any] = {
    "id": "dlv_1042",
    "signal_id": "c6caf4d9-2c7b-5634-ab4e-5066ae43c96a",
    "type": "account.stalled",
    "account_id": "acme",
    "endpoint_id": "ep_k7f3a2qwmz4tchj5pv8n",
    "status": "pending",
    "hold_reason": None,
    "attempts": 1,
    "next_at": "2026-11-20T10:00:06Z",
    "created_at": "2026-11-20T10:00:00Z",
    "digest_id": None,
}
_ATTEMPT: dict[str, Any] = {
    "at": "2026-11-20T10:00:00.120Z",
    "number": 1,
    "trigger": "first",
    "result": "http_5xx",
    "status_code": 500,
    "duration_ms": 38,
    "response": "out of order",
    "error": None,
    "late": False,
    "phases": {"resolve_ms": 4, "connect_ms": 11, "wait_ms": 22},
}


def _example(value: dict[str, Any], extra: Literal["forbid", "ignore"] = "ignore") -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": value}, extra=extra)


class EnableRequest(BaseModel):
    """How to go on with what was held meanwhile."""

    model_config = _example({"send_held": True}, extra="forbid")

    send_held: bool = Field(False, description="Also send what was held while the endpoint was disabled")


class EndpointDocument(BaseModel):
    """An endpoint; `status` is `enabled`, `failing` (its newest attempts failed) or `disabled`.

    `window_open` says whether its delivery window lets deliveries out now. Values of custom headers may be credentials:
    they are shown with the secrets.
    """

    model_config = _example(_ENDPOINT)

    id: str
    url: str
    description: str
    format: str
    types: list[str]
    origins: list[str]
    plans: list[str]
    segments: list[str]
    owners: list[str]
    reasons: list[str]
    timeout_seconds: float
    concurrency_max: int
    rate_per_second: float | None
    burst: int | None
    retry_schedule_seconds: list[float] | None
    delivery_window: DeliveryWindowTerm | None
    window_open: bool
    header_names: list[str]
    enabled: bool
    status: Literal["enabled", "failing", "disabled"]
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class CreatedEndpoint(EndpointDocument):
    """The endpoint and the secret that its receiver verifies signatures with; `public_key` is what a receiver needs of
    an ed25519 key."""

    model_config = _example({**_ENDPOINT, "secret": _SECRET, "public_key": None})

    secret: str
    public_key: str | None


class EnabledEndpoint(EndpointDocument):
    """The endpoint and how many of its deliveries are held."""

    model_config = _example({**_ENDPOINT, "held": 0})

    held: int


class EndpointList(BaseModel):
    """A page of endpoints, oldest first."""

    model_config = _example({"data": [_ENDPOINT], "next": None})

    data: list[EndpointDocument]
    next: str | None


class KeyDocument(BaseModel):
    """A key that signs; `version` is that of its signatures, `expires_at` null for the newest."""

    secret: str
    public_key: str | None
    version: Literal["v1", "v1a"]
    expires_at: datetime | None


class AccessDocument(BaseModel):
    """One time that the secrets were shown: by which API key, and the request under which the log knows it."""

    at: datetime
    action: Literal["created", "rotated", "shown"]
    key_id: str
    key_name: str
    request_id: str


_KEY: dict[str, Any] = {"secret": _SECRET, "public_key": None, "version": "v1", "expires_at": None}
_ACCESS: dict[str, Any] = {
    "at": "2026-11-20T10:00:00Z",
    "action": "shown",
    "key_id": "k7f3a2qwmz4tc",
    "key_name": "ci",
    "request_id": "5f1d0c6f0a4b4f6f9a58c7f2b1d9e3a7",
}


class RotatedSecret(BaseModel):
    """The keys that sign now, newest first; `secret` and `public_key` are the newest's."""

    model_config = _example({"secret": _SECRET, "public_key": None, "secrets": [_SECRET], "keys": [_KEY]})

    secret: str
    public_key: str | None
    secrets: list[str]
    keys: list[KeyDocument]


class SecretDocument(RotatedSecret):
    """The same, the custom headers, and who was shown them: the newest 100 times, this one first."""

    model_config = _example(
        {
            "secret": _SECRET,
            "public_key": None,
            "secrets": [_SECRET],
            "keys": [_KEY],
            "headers": EXAMPLE["headers"],
            "shown": [_ACCESS],
        }
    )

    headers: dict[str, str]
    shown: list[AccessDocument]


class ExampleRequest(BaseModel):
    """Which example to send."""

    model_config = _example({"type": "account.stalled"}, extra="forbid")

    type: str = Field(max_length=100, description="One of GET /v1/signal-types")


class QueuedDelivery(BaseModel):
    """A delivery that is on its way; ask for it by id."""

    model_config = _example({"delivery_id": "dlv_1042", "signal_id": _DELIVERY["signal_id"]})

    delivery_id: str
    signal_id: str


class DeliveryDocument(BaseModel):
    """One signal to one endpoint; `account_id` is null for what is about none, `next_at` when it is tried next,
    `digest_id` the signal id of the digest that tells of it when it is `digested`."""

    model_config = _example(_DELIVERY)

    id: str
    signal_id: str
    type: str
    account_id: str | None
    endpoint_id: str
    status: str
    hold_reason: str | None
    attempts: int
    next_at: datetime | None
    created_at: datetime
    digest_id: str | None


class PhasesDocument(BaseModel):
    """Milliseconds of looking up the name, connecting, waiting for the answer's head; null where it was not reached."""

    resolve_ms: int | None
    connect_ms: int | None
    wait_ms: int | None


class AttemptDocument(BaseModel):
    """One attempt; `late` when its outcome came after another process had taken the delivery over."""

    model_config = _example(_ATTEMPT)

    at: datetime
    number: int
    trigger: str
    result: str
    status_code: int | None
    duration_ms: int
    response: str | None
    error: str | None
    late: bool
    phases: PhasesDocument


class DeliveryWithLog(DeliveryDocument):
    """A delivery and its attempts, oldest first."""

    model_config = _example({**_DELIVERY, "log": [_ATTEMPT]})

    log: list[AttemptDocument]


class DeliveryList(BaseModel):
    """A page of deliveries, newest first."""

    model_config = _example({"data": [_DELIVERY], "next": None})

    data: list[DeliveryDocument]
    next: str | None


class SignalType(BaseModel):
    """A type that endpoints can ask for, with bodies as they are sent."""

    model_config = _example({"type": "endpoint.ping", "examples": [{"type": "endpoint.ping", "id": "a92b56c6"}]})

    type: str
    examples: list[dict[str, Any]]


class SignalTypes(BaseModel):
    """All types."""

    model_config = _example({"data": [{"type": "endpoint.ping", "examples": []}], "next": None})

    data: list[SignalType]
    next: None = None
