"""Settings that every service reads from the environment; only `app` and `__main__` modules may load them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SharedSettings(BaseSettings):
    """What ingest, engine and notifier have in common."""

    model_config = SettingsConfigDict(
        env_prefix="FIRSTVALUE_", extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    database_url: str = Field(
        validation_alias="DATABASE_URL",
        description="PostgreSQL, e.g. postgresql://user:password@host:5432/name",
    )
    kafka_bootstrap_servers: str = Field(
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="host:port of one or more brokers, comma-separated",
    )
    topic_prefix: str = Field("", description="Put before every topic name; separates deployments on one cluster")
    admin_key: SecretStr | None = Field(None, description="The first API key, with every scope")
    key_pepper: SecretStr = Field(SecretStr(""), description="Secret mixed into stored key hashes")
    host: str = Field("127.0.0.1", description="Address that the HTTP listeners bind")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")
    production: bool = Field(False, description="Refuse to start on a broker that could lose acknowledged records")
    drain_seconds: float = Field(20.0, gt=0, le=300, description="Time a service has to finish after SIGTERM")
    crash_at: str = Field("", description="Tests only: name[:n] of a crash point at whose n-th hit the process dies")


def settings_advice(error: ValidationError) -> str:
    """One line that names each setting which is missing or wrong, and never what it holds."""
    found = (f"{'.'.join(str(part) for part in entry['loc'])} ({entry['msg']})" for entry in error.errors())
    return f"Correct these settings, which are described in .env.example: {', '.join(found)}"
