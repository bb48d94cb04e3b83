"""Settings of ingest: every limit with its unit, read from the environment by `app` alone."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.ingest.json_paths import parse_paths

# A request holds its body, the records that are made of it, and what these have around them.
_HELD_PER_BODY = 3


class IngestSettings(BaseSettings):
    """`FIRSTVALUE_INGEST_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="FIRSTVALUE_INGEST_", extra="ignore", hide_input_in_errors=True)

    port: int = Field(8081, ge=0, le=65535, description="TCP port of the public API; 0 takes a free one")
    metrics_port: int = Field(9081, ge=0, le=65535, description="TCP port of /livez, /readyz and /metrics")
    tick_seconds: float = Field(10.0, gt=0, le=60, description="Time between two ticks, the clock of the engine")
    staff: str = Field("", description="Comma-separated globs on user id and e-mail whose events count for nothing")
    group_types: str = Field(
        "company", description="Comma-separated keys of properties.$groups that name the account, the first wins"
    )
    account_paths: str = Field(
        "properties.account_id", description="Comma-separated paths in an event that name its account, the first wins"
    )
    address_paths: str = Field(
        "context.ip,request_ip,properties.$ip",
        description="Comma-separated paths of client addresses in events, kept as their /24 or /48; empty: kept whole",
    )
    body_bytes_max: int = Field(5_242_880, ge=1024, description="Greatest body, as sent and again when inflated")
    event_bytes_max: int = Field(65_536, ge=1024, le=262_144, description="Greatest event or command")
    events_max: int = Field(1_000, ge=1, le=10_000, description="Events or commands in one request")
    header_seconds: float = Field(10.0, gt=0, description="Time a client has for the headers of a request")
    body_seconds: float = Field(30.0, gt=0, description="Time a client has for the body after the headers")
    connections_max: int = Field(5_000, ge=1, description="Open connections; more are answered 503 and closed")
    requests_max: int = Field(1_000, ge=1, description="Requests worked on at the same time; more are answered 503")
    inflight_bytes_max: int = Field(
        67_108_864,
        ge=10_485_760,
        description="Bodies and records held, 3 greatest bodies or more; unfinished ones without a server's key: half",
    )
    ack_seconds: float = Field(5.0, gt=0, le=60, description="Time Kafka has to confirm before a request answers 503")
    produce_bytes: int = Field(524_288, ge=65_536, le=655_360, description="A produce batch is closed beyond this size")
    session_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="Silence after which Kafka gives a replica's part of the resolver to others"
    )
    people_max: int = Field(200_000, ge=1_000, description="People held in memory, about 0.5 KB each")
    parked_days: float = Field(30.0, gt=0, le=365, description="Days an event waits for the account of its user")
    parked_events_max: int = Field(1_000, ge=1, description="Events of one user that wait; more become dead letters")
    historical_seconds: float = Field(604_800.0, gt=0, description="Events older than this are flagged historical")

    @field_validator("account_paths", "address_paths")
    @classmethod
    def _readable_paths(cls, text: str) -> str:
        parse_paths(text)
        return text

    @field_validator("inflight_bytes_max")
    @classmethod
    def _holds_a_body(cls, inflight_bytes_max: int, info: ValidationInfo) -> int:
        least = _HELD_PER_BODY * info.data.get("body_bytes_max", 0)
        if inflight_bytes_max < least:
            raise ValueError(
                f"take {least} or more, {_HELD_PER_BODY} times body_bytes_max: else the greatest body never fits"
            )
        return inflight_bytes_max

    @property
    def key_body_bytes_max(self) -> int:
        """The greatest body that fits, whatever a key's own limit says."""
        return self.inflight_bytes_max // _HELD_PER_BODY

    @property
    def staff_globs(self) -> tuple[str, ...]:
        """The globs one by one."""
        return _words(self.staff)

    @property
    def account_group_types(self) -> tuple[str, ...]:
        """The group types one by one."""
        return _words(self.group_types)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
