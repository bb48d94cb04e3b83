"""Settings of the activation engine, read from `FIRSTVALUE_ENGINE_…` in the environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineSettings(BaseSettings):
    """Each with its unit in its name."""

    model_config = SettingsConfigDict(env_prefix="FIRSTVALUE_ENGINE_", extra="ignore")

    port: int = Field(8082, ge=0, le=65535, description="Port of the public HTTP API; 0 takes any free one")
    metrics_port: int = Field(9082, ge=0, le=65535, description="Port of /livez, /readyz and /metrics")
    group: str = Field("activation-engine", description="Consumer group, after the topic prefix")
    batch_events_max: int = Field(5_000, ge=1, le=50_000, description="Records in one transaction at most")
    poll_wait_ms: int = Field(50, ge=1, le=1_000, description="How long a poll of the broker waits for records")
    session_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="Silence after which the broker gives a member's partitions to others"
    )
    rebalance_timeout_seconds: float = Field(30.0, gt=0, le=300, description="Time for members to hand over")
    due_accounts_max: int = Field(2_000, ge=1, le=50_000, description="Accounts whose timers fire in one batch")
    accounts_cached_max: int = Field(100_000, ge=1, description="Accounts held in memory, about 8 KB each")
    unpublished_signals_max: int = Field(
        20_000, ge=1, description="Signals not yet on Kafka above which no more events are taken in"
    )
    relay_rows_max: int = Field(1_000, ge=1, le=10_000, description="Signals in one produce batch at most")
    stall_seconds: float = Field(
        30.0,
        gt=0,
        description="Without progress on waiting records, the consumer is rebuilt; twice as long ends the process",
    )
    offsets_commit_seconds: float = Field(5.0, gt=0, description="Pause between commits of offsets for lag tools")
    plans_poll_ms: int = Field(200, ge=10, le=10_000, description="Pause between looks for published plan versions")
    database_connections_max: int = Field(4, ge=2, le=50, description="Connections of the pool that applies events")
    reads_connections_max: int = Field(4, ge=1, le=50, description="Connections of the pool that answers HTTP")
    signal_traits: str = Field("", description="Traits allowed out in signals, comma-separated")
    account_link: str = Field("", description="Link to an account in signals; {account} becomes its id")
