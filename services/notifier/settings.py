"""The notifier's settings, read from FIRSTVALUE_NOTIFIER_… by the composition root alone."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.notifier.domain.addresses import AddressRules, parse_rules
from services.notifier.domain.breaker import PAUSE_SECONDS
from services.notifier.domain.digests import WINDOW_SECONDS
from services.notifier.domain.endpoint_url import PORTS
from services.notifier.domain.schedule import DEADLINE_SECONDS, SLOTS_SECONDS, Schedule
from services.notifier.secret_box import SecretBox, parse_key


class NotifierSettings(BaseSettings):
    """Everything that an operator may set, with its unit in the name."""

    model_config = SettingsConfigDict(env_prefix="FIRSTVALUE_NOTIFIER_", extra="ignore", hide_input_in_errors=True)

    port: int = Field(8083, ge=0, le=65535, description="Public HTTP port; 0 takes a free one")
    metrics_port: int = Field(9083, ge=0, le=65535, description="Private port: /livez /readyz /metrics")
    secret_key: SecretStr = Field(description="Base64 of 32 bytes; encrypts endpoints' secrets in the database")
    secret_keys_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Earlier values of the key, comma-separated, until `firstvalue reencrypt` was run"
    )

    allowed_addresses: str = Field(
        "", description="Exact addresses, comma-separated, open on every port and over http, e.g. 127.0.0.1"
    )
    private_networks: str = Field("", description="CIDR ranges inside private space that webhooks may reach over https")
    ports: Annotated[frozenset[Annotated[int, Field(ge=1, le=65535)]], NoDecode] = Field(
        frozenset(), description="Ports allowed beside 443, 80, 8443 and 8080, comma-separated"
    )
    ca_file: str = Field("", description="PEM file of further certificate authorities to trust for endpoints")

    retry_schedule_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        SLOTS_SECONDS,
        min_length=1,
        max_length=100,
        description="Pause after each counted failure, comma-separated; the last one's failure gives up",
    )
    deadline_seconds: float = Field(DEADLINE_SECONDS, gt=0, description="Age at which a delivery is given up")
    lease_seconds: float = Field(
        60.0,
        ge=1,
        le=600,
        description="A claimed delivery is queued again after this; below an endpoint's timeout, slow ones come twice",
    )
    poll_seconds: float = Field(0.5, gt=0, le=10, description="Longest time until a due delivery is looked for")
    in_flight_max: int = Field(512, ge=1, le=10_000, description="Attempts under way at once, over all endpoints")
    backlog_max: int = Field(100_000, ge=1, description="Waiting deliveries per endpoint; what exceeds it is held")

    digest_seconds: float = Field(
        WINDOW_SECONDS, gt=0, le=86_400, description="More than 20 signals of a type in this time are one Slack message"
    )
    breaker_seconds: float = Field(
        PAUSE_SECONDS,
        gt=0,
        le=900,
        description="First pause of an endpoint after 5 failures in a row; doubles to 30 times it",
    )

    connect_timeout_seconds: float = Field(5.0, gt=0, le=30, description="TCP and TLS together")
    dns_timeout_seconds: float = Field(2.0, gt=0, le=30, description="Looking up the addresses of an endpoint")
    connection_age_max_seconds: float = Field(60.0, gt=0, description="No connection is used for longer")

    attempts_kept_days: int = Field(30, ge=1, description="The log of attempts is dropped after this")
    messages_kept_days: int = Field(
        30,
        ge=1,
        description="Bodies, deliveries, replays, unreadable records and what is left of deleted endpoints are deleted "
        "after this; what was held is given up",
    )
    ids_kept_days: int = Field(
        90,
        ge=31,
        description="Ids of signals, by which repeats are known, are deleted after this, though not before their "
        "bodies; above the topic's 30 days",
    )
    accesses_kept_days: int = Field(365, ge=1, description="Who was shown a webhook secret is known for this long")
    group: str = Field("firstvalue-notifier", min_length=1, description="Consumer group, after the topic prefix")
    session_timeout_seconds: float = Field(10.0, gt=0, description="Kafka hands the partitions on after this silence")

    @field_validator("secret_key")
    @classmethod
    def _usable_key(cls, value: SecretStr) -> SecretStr:
        parse_key(value.get_secret_value())
        return value

    @field_validator("secret_keys_old", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("secret_keys_old")
    @classmethod
    def _usable_old_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            parse_key(key.get_secret_value())
        return value

    @field_validator("ports", mode="before")
    @classmethod
    def _split_ports(cls, value: object) -> object:
        return frozenset(part for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("retry_schedule_seconds", mode="before")
    @classmethod
    def _split_schedule(cls, value: object) -> object:
        return tuple(part for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("retry_schedule_seconds")
    @classmethod
    def _usable_schedule(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(isfinite(slot) and slot > 0 for slot in value):
            raise ValueError("must be seconds greater than 0, comma-separated, such as 5,300,1800")
        return value

    @field_validator("private_networks")
    @classmethod
    def _usable_networks(cls, value: str) -> str:
        parse_rules("", value)
        return value

    @field_validator("allowed_addresses")
    @classmethod
    def _usable_addresses(cls, value: str) -> str:
        parse_rules(value, "")
        return value

    def address_rules(self) -> AddressRules:
        """What the operator opened."""
        return parse_rules(self.allowed_addresses, self.private_networks)

    def secret_box(self) -> SecretBox:
        """What seals and opens endpoints' secrets."""
        older = [parse_key(key.get_secret_value()) for key in self.secret_keys_old]
        return SecretBox(parse_key(self.secret_key.get_secret_value()), older)

    def schedule(self) -> Schedule:
        """When failed deliveries are tried again."""
        return Schedule(slots_seconds=self.retry_schedule_seconds, deadline_seconds=self.deadline_seconds)

    def allowed_ports(self) -> frozenset[int]:
        """Ports that need no opening."""
        return PORTS | self.ports
