"""Bodies of requests and answers, each with an example."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.notifier.domain.filters import DEFAULT_TYPES

TIMEOUT_SECONDS_DEFAULT = 15.0
CONCURRENCY_DEFAULT = 10

_ENDPOINT: dict[str, Any] = {
    "id": "ep_k7f3a2qwmz4tchj5pv8n",
    "url": "https://hooks.example.com/firstvalue",
    "description": "Customer success inbox",
    "format": "standard",
    "types": ["account.first_value_reached", "account.stalled"],
    "origins": ["live"],
    "timeout_seconds": 15.0,
    "concurrency_max": 10,
    "enabled": True,
    "status": "enabled",
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2026-11-20T10:00:00Z",
    "updated_at": "2026-11-20T10:00:00Z",
}
_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # noqa: S105 - an example
_DELIVERY: dict[str, Any] = {
    "id": "dlv_1042",
    "signal_id": "7f276fe0-1128-59fc-ae1c-e21fc377b7c0",
    "type": "account.stalled",
    "endpoint_id": "ep_k7f3a2qwmz4tchj5pv8n",
    "status": "pending",
    "hold_reason": None,
    "attempts": 1,
    "next_at": "2026-11-20T10:00:06Z",
    "created_at": "2026-11-20T10:00:00Z",
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

Origin = Literal["live", "catch_up", "replay", "plan_change"]
_Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_Types = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=50)]
_Origins = Annotated[list[Origin], Field(min_length=1, max_length=4)]
_Timeout = Annotated[float, Field(ge=1, le=30, description="Limit of a whole attempt, body included")]
_Concurrency = Annotated[int, Field(ge=1, le=100, description="Requests to this endpoint at once")]
_Url = Annotated[str, Field(min_length=1, max_length=2048, description="https://…, reachable from here")]


def _example(value: dict[str, Any], extra: Literal["forbid", "ignore"] = "ignore") -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": value}, extra=extra)


class NewEndpoint(BaseModel):
    """An endpoint to create; all but the URL may be left out."""

    model_config = _example(
        {"url": _ENDPOINT["url"], "types": _ENDPOINT["types"], "description": _ENDPOINT["description"]}, extra="forbid"
    )

    url: _Url
    description: Annotated[_Text, Field(max_length=500)] = ""
    types: _Types = Field(
        default_factory=lambda: list(DEFAULT_TYPES), description="Signal types; `account.*` is all of a family"
    )
    origins: _Origins = Field(default=["live"], description="What made the signal; others are skipped")
    format: Literal["standard"] = "standard"
    timeout_seconds: _Timeout = TIMEOUT_SECONDS_DEFAULT
    concurrency_max: _Concurrency = CONCURRENCY_DEFAULT
    enabled: bool = True
    secret: Annotated[str | None, Field(max_length=200, description="whsec_…; made for you if left out")] = None


class EndpointChanges(BaseModel):
    """What to change; what is left out stays."""

    model_config = _example({"types": ["account.*"], "timeout_seconds": 5}, extra="forbid")

    url: _Url | None = None
    description: Annotated[_Text, Field(max_length=500)] | None = None
    types: _Types | None = None
    origins: _Origins | None = None
    timeout_seconds: _Timeout | None = None
    concurrency_max: _Concurrency | None = None
    enabled: bool | None = None


class EnableRequest(BaseModel):
    """How to go on with what was held meanwhile."""

    model_config = _example({"send_held": True}, extra="forbid")

    send_held: bool = Field(False, description="Also send what was held while the endpoint was disabled")


class EndpointDocument(BaseModel):
    """An endpoint; `status` is `enabled`, `failing` (its newest attempts failed) or `disabled`."""

    model_config = _example(_ENDPOINT)

    id: str
    url: str
    description: str
    format: str
    types: list[str]
    origins: list[str]
    timeout_seconds: float
    concurrency_max: int
    enabled: bool
    status: Literal["enabled", "failing", "disabled"]
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class CreatedEndpoint(EndpointDocument):
    """The endpoint and the secret that its receiver verifies signatures with."""

    model_config = _example({**_ENDPOINT, "secret": _SECRET})

    secret: str


class EnabledEndpoint(EndpointDocument):
    """The endpoint and how many of its deliveries are held."""

    model_config = _example({**_ENDPOINT, "held": 0})

    held: int


class EndpointList(BaseModel):
    """A page of endpoints, oldest first."""

    model_config = _example({"data": [_ENDPOINT], "next": None})

    data: list[EndpointDocument]
    next: str | None


class SecretDocument(BaseModel):
    """The secrets that sign now, newest first; `secret` is the newest."""

    model_config = _example({"secret": _SECRET, "secrets": [_SECRET]})

    secret: str
    secrets: list[str]


class QueuedDelivery(BaseModel):
    """A delivery that is on its way; ask for it by id."""

    model_config = _example({"delivery_id": "dlv_1042", "signal_id": _DELIVERY["signal_id"]})

    delivery_id: str
    signal_id: str


class DeliveryDocument(BaseModel):
    """One signal to one endpoint; `next_at` is when it is tried next."""

    model_config = _example(_DELIVERY)

    id: str
    signal_id: str
    type: str
    endpoint_id: str
    status: str
    hold_reason: str | None
    attempts: int
    next_at: datetime | None
    created_at: datetime


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
