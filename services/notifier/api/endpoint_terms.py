"""What people may ask of an endpoint: the bodies that create, change and rotate one, with their limits."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.notifier.domain import slack
from services.notifier.domain.custom_headers import checked_headers
from services.notifier.domain.delivery_window import DAYS, read_window
from services.notifier.domain.filters import DEFAULT_TYPES
from services.notifier.domain.schedule import DEADLINE_SECONDS

TIMEOUT_SECONDS_DEFAULT = 15.0
CONCURRENCY_DEFAULT = 10
KEEP_SECONDS_DEFAULT = 24 * 3600.0
KEEP_SECONDS_MAX = 7 * 24 * 3600.0

EXAMPLE: dict[str, Any] = {
    "url": "https://hooks.example.com/firstvalue",
    "description": "Customer success inbox",
    "format": "standard",
    "types": ["account.first_value_reached", "account.stalled"],
    "origins": ["live"],
    "plans": [],
    "segments": ["smb"],
    "owners": [],
    "reasons": [],
    "timeout_seconds": 15.0,
    "concurrency_max": 10,
    "rate_per_second": 5.0,
    "burst": 10,
    "retry_schedule_seconds": None,
    "delivery_window": {
        "time_zone": "Europe/Berlin",
        "from": "08:00",
        "until": "18:00",
        "days": ["mon", "tue", "wed", "thu", "fri"],
    },
    "headers": {"x-team": "customer-success"},
    "enabled": True,
}

Origin = Literal["live", "catch_up", "replay", "plan_change"]
_Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_Types = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=50)]
_Origins = Annotated[list[Origin], Field(min_length=1, max_length=4)]
_Chosen = Annotated[list[Annotated[_Text, Field(min_length=1, max_length=255)]], Field(max_length=50)]
_Timeout = Annotated[float, Field(ge=1, le=30, description="Limit of a whole attempt, body included")]
_Concurrency = Annotated[int, Field(ge=1, le=100, description="Requests to this endpoint at once")]
_Url = Annotated[str, Field(min_length=1, max_length=2048, description="https://…, reachable from here")]
_Rate = Annotated[float, Field(ge=0.1, le=1000, description="Requests per second, in the long run")]
_Burst = Annotated[int, Field(ge=1, le=1000, description="Requests at once after a pause; with rate_per_second only")]
_Schedule = Annotated[
    list[Annotated[float, Field(ge=1, le=86_400)]],
    Field(min_length=1, max_length=20, description="Pause after each failure, seconds; 96 hours together at most"),
]
_Headers = Annotated[dict[str, str], Field(description="Sent with every webhook: at most 20, 4096 bytes together")]
_Clock = Annotated[str, Field(description="HH:MM on the endpoint's own clock")]


class _Strict(BaseModel):
    """Refuses fields that it does not have, and names the one that was probably meant."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, given: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in given if isinstance(given, dict) else ():
            if name not in known:
                close = get_close_matches(str(name), known, 1)
                advice = f"you probably mean {close[0]}" if close else f"there are {', '.join(known)}"
                raise ValueError(f"there is no field {str(name)[:50]!r} here; {advice}")
        return given


class DeliveryWindowTerm(_Strict):
    """When deliveries go out: from one time of day until another, on some days; `until` before `from` is after
    midnight, the same is the whole day. What comes at other times waits."""

    time_zone: Annotated[_Text, Field(min_length=1, max_length=64, description="IANA name, such as Europe/Berlin")]
    from_: Annotated[_Clock, Field(alias="from")]
    until: _Clock
    days: list[str] = Field(default_factory=lambda: list(DAYS), description="mon to sun; all by default")

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        read_window(days=self.days, start=self.from_, end=self.until)
        return self


class _Terms(_Strict):
    """What holds for creation and change alike."""

    @field_validator("headers", check_fields=False)
    @classmethod
    def _sendable(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        return None if value is None else checked_headers(value)

    @field_validator("retry_schedule_seconds", check_fields=False)
    @classmethod
    def _before_the_deadline(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and sum(value) > DEADLINE_SECONDS:
            raise ValueError(f"must be at most {DEADLINE_SECONDS:.0f} seconds together: then deliveries are given up")
        return value


class _Settable(_Terms):
    """What may be given at creation and changed later. The defaults are for creation, where they are not overridden; of
    a change only what was given counts."""

    url: _Url = ""
    description: Annotated[_Text, Field(max_length=500)] = ""
    types: _Types = []
    origins: _Origins = []
    plans: _Chosen = Field(default=[], description="Plan ids; empty for all. Likewise the next three")
    segments: _Chosen = []
    owners: _Chosen = []
    reasons: _Chosen = []
    timeout_seconds: _Timeout = TIMEOUT_SECONDS_DEFAULT
    concurrency_max: _Concurrency = CONCURRENCY_DEFAULT
    rate_per_second: _Rate | None = None
    burst: _Burst | None = None
    retry_schedule_seconds: _Schedule | None = None
    delivery_window: DeliveryWindowTerm | None = None
    headers: _Headers = {}
    enabled: bool = True


class NewEndpoint(_Settable):
    """An endpoint to create; all but the URL may be left out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {name: EXAMPLE[name] for name in ("url", "types", "segments", "description")}},
    )

    url: _Url
    types: _Types = Field(
        default_factory=lambda: list(DEFAULT_TYPES),
        description="Signal types; `account.*` is all of a family, and the default but for slack: what a team acts on",
    )
    origins: _Origins = Field(default=["live"], description="What made the signal; others are skipped")
    format: Literal["standard", "slack"] = Field("standard", description="slack: for an incoming webhook of Slack")
    signature: Literal["v1", "v1a"] = Field("v1", description="HMAC-SHA256 or ed25519, for a secret made for you")
    secret: Annotated[str | None, Field(max_length=200, description="whsec_… or whsk_…; made for you if left out")] = (
        None
    )

    @model_validator(mode="after")
    def _types_of_its_format(self) -> Self:
        if self.format == "slack" and "types" not in self.model_fields_set:
            self.types = list(slack.DEFAULT_TYPES)
        return self


def _without_defaults(schema: dict[str, Any]) -> None:
    """A client that filled them in would change what it did not name."""
    for each in schema["properties"].values():
        each.pop("default", None)
    schema["example"] = {"types": ["account.*"], "timeout_seconds": 5}


class EndpointChanges(_Settable):
    """What to change; what is left out stays. null takes rate, schedule and window away."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)

    @model_validator(mode="before")
    @classmethod
    def _changes_something(cls, given: Any) -> Any:
        """Before the names are checked, because these have a better answer than "no such field"."""
        if isinstance(given, dict):
            if not given:
                raise ValueError(f"name at least one field to change: {', '.join(cls.model_fields)}")
            if "format" in given:
                raise ValueError("the format of an endpoint stays; add another endpoint with the format you want")
            if "secret" in given or "signature" in given:
                raise ValueError("change a secret by POST /v1/endpoints/{id}/rotate, which keeps the old one a while")
        return given


class Rotation(_Strict):
    """A new key; those before it sign on for `keep_seconds`, 0 ends them now, as after a leak."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"keep_seconds": 86_400}})

    secret: Annotated[str | None, Field(max_length=200, description="whsec_… or whsk_…; made for you if left out")] = (
        None
    )
    signature: Literal["v1", "v1a"] | None = Field(None, description="Of a secret made for you; as before if left out")
    keep_seconds: Annotated[float, Field(ge=0, le=KEEP_SECONDS_MAX)] = KEEP_SECONDS_DEFAULT
    expire_now: bool = Field(False, description="The same as keep_seconds 0")
