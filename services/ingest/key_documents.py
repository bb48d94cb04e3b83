"""Keys as they are asked for and shown over HTTP, and how what is set beside a key is stored."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from typing import Annotated, Any, Self

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from services.ingest.json_paths import new_path
from services.ingest.key_store import KeyRow
from services.ingest.origins import ORIGINS_MAX, readable_origin
from services.ingest.sources import BURST_SECONDS_DEFAULT, SourceRules, decode_rules, encode_rules
from services.runtime.access import Scope

_EXAMPLE_ROW: dict[str, Any] = {
    "id": "k7f3a2qwmz4tc",
    "name": "product backend",
    "scopes": ["events:write"],
    "created_at": "2026-11-20T10:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "origins": [],
}
_EXAMPLE_KEY = "fv_k7f3a2qwmz4tc_2l4vdm5k7sxhq3w6njy2a5rbtp7ufe6c_9d1c0b7e"
_NO_NUL = r"^[^\x00]+$"
PATHS_MAX = 50
# What is stored together.
_SOURCE = frozenset({"quota", "limits", "redaction"})


def _path(text: str) -> str:
    return ".".join(new_path(text))


Path = Annotated[str, Field(max_length=500), AfterValidator(_path)]


class QuotaDocument(BaseModel):
    """What one replica takes of a key; more is answered 429."""

    model_config = ConfigDict(extra="forbid")

    events_per_second: float | None = Field(None, gt=0, le=1e9, description="Events each second")
    bytes_per_second: float | None = Field(None, gt=0, le=1e12, description="Bytes of bodies, inflated, each second")
    burst_seconds: float = Field(BURST_SECONDS_DEFAULT, gt=0, le=3600, description="Seconds' worth of it at once")


class LimitsDocument(BaseModel):
    """Limits of this key's requests. Those above the settings' need the key in a header, not in the body."""

    model_config = ConfigDict(extra="forbid")

    body_bytes_max: int | None = Field(None, ge=1024, le=20_971_520, description="Greatest body, also when inflated")
    event_bytes_max: int | None = Field(None, ge=256, le=262_144, description="Greatest event")
    events_max: int | None = Field(None, ge=1, le=10_000, description="Events in one request")


class KeptRedaction(BaseModel):
    """Paths as they are kept, also those that are refused by now."""

    drop: list[str] = []
    hash: list[str] = []


class RedactionDocument(KeptRedaction):
    """Paths in the events, as `GET /v1/events` shows their bodies, such as context.traits.email."""

    model_config = ConfigDict(extra="forbid")

    drop: list[Path] = Field(default=[], max_length=PATHS_MAX, description="Left out")
    hash: list[Path] = Field(default=[], max_length=PATHS_MAX, description="Replaced by a keyed hash")


def readable_origins(origins: list[str]) -> list[str]:
    """Origins as they are stored; raises ValueError."""
    return sorted({readable_origin(origin) for origin in origins})


class KeyRequest(BaseModel):
    """A key to create."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "product backend", "scopes": ["events:write"]}}
    )

    name: str = Field(min_length=1, max_length=200, pattern=_NO_NUL, description="Who or what uses it")
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope), description="What it may do")
    expires_at: AwareDatetime | None = Field(None, description="Last moment of validity; never, if left out")
    origins: list[str] = Field(
        default=[],
        max_length=ORIGINS_MAX,
        description="Pages that may use it, as https://app.acme.example; none: servers",
    )

    quota: QuotaDocument | None = Field(None, description="How much it may send; no bound, if left out")
    limits: LimitsDocument | None = Field(None, description="In place of the limits of the settings")
    redaction: RedactionDocument | None = Field(None, description="What is taken out of its events")

    @field_validator("origins")
    @classmethod
    def _readable_origins(cls, origins: list[str]) -> list[str]:
        return readable_origins(origins)

    @model_validator(mode="after")
    def _browsers_only_write_events(self) -> Self:
        if self.origins and set(self.scopes) != {Scope.EVENTS_WRITE}:
            raise ValueError("a key with origins is seen by everybody: give it the scope events:write alone")
        return self


class KeyDocument(BaseModel):
    """A key as it is listed."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_ROW})

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    origins: list[str]
    quota: QuotaDocument | None = None
    limits: LimitsDocument | None = None
    redaction: KeptRedaction | None = None


class CreatedKey(KeyDocument):
    """The one answer that holds the key itself; null when the request is a repeat of one that was answered."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE_ROW, "key": _EXAMPLE_KEY}})

    key: str | None


class KeyList(BaseModel):
    """A page of keys, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"data": [_EXAMPLE_ROW], "next": None}})

    data: list[KeyDocument]
    next: str | None


class KeyChange(BaseModel):
    """What is to be changed of a key; null takes it back, except a browser key's origins; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"quota": {"events_per_second": 500.0, "burst_seconds": 20.0}}}
    )

    origins: list[str] | None = Field(None, max_length=ORIGINS_MAX, description="Pages that may use it; none: servers")
    quota: QuotaDocument | None = None
    limits: LimitsDocument | None = None
    redaction: RedactionDocument | None = None

    @field_validator("origins")
    @classmethod
    def _readable_origins(cls, origins: list[str] | None) -> list[str] | None:
        return None if origins is None else readable_origins(origins)


def source_of(given: BaseModel) -> str | None:
    """What is stored of the quota, limits and redaction of a request."""
    return _stored(_told(given, _SOURCE))


def changed(row: KeyRow, change: KeyChange) -> tuple[list[str], str | None]:
    """(origins, source) of a key after a change. What is not changed is not checked: it may be from before a rule."""
    before, given = shown(row), change.model_fields_set
    kept = {name: before[name] for name in _SOURCE - given if before[name] is not None}
    origins = change.origins or [] if "origins" in given else row.origins
    return origins, _stored(kept | _told(change, _SOURCE & given))


def _told(given: BaseModel, names: Set[str]) -> dict[str, Any]:
    return given.model_dump(mode="json", include=set(names), exclude_none=True)


def _stored(told: dict[str, Any]) -> str | None:
    return None if not told else encode_rules(msgspec.convert(told, SourceRules)).decode()


def shown(row: KeyRow) -> dict[str, Any]:
    """The fields of a key's document."""
    fields = {name: getattr(row, name) for name in KeyRow.__slots__ if name != "source"}
    rules = decode_rules(row.source)
    told: dict[str, Any] = dict.fromkeys(_SOURCE)
    for name in told:
        if getattr(rules, name) != getattr(SourceRules(), name):
            told[name] = msgspec.to_builtins(getattr(rules, name))
    return {**fields, **told}
