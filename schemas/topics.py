"""The Kafka topics as data: created by `firstvalue topics`, checked by every service at its start."""

from __future__ import annotations

from dataclasses import dataclass, field

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; `partitions` None means as many as PRODUCT_EVENTS has."""

    name: str
    key: str
    retention_ms: int
    config: dict[str, str] = field(default_factory=dict)

    def named(self, prefix: str) -> str:
        """The name on the broker, e.g. `acme.` + `product.events.v1`."""
        return prefix + self.name

    def broker_config(self) -> dict[str, str]:
        """The settings to create the topic with, as the broker spells them."""
        return {"retention.ms": str(self.retention_ms), "cleanup.policy": "delete", **self.config}


# Retention is the horizon of a replay. LogAppendTime, because the engine's clock trusts the broker and not a producer.
PRODUCT_EVENTS = Topic("product.events.v1", "account_id", 90 * _DAY_MS, {"message.timestamp.type": "LogAppendTime"})
# Events whose account is not known yet, keyed by user.
UNRESOLVED_EVENTS = Topic(
    "product.events.unresolved.v1", "user_id", 30 * _DAY_MS, {"message.timestamp.type": "LogAppendTime"}
)
# Poison, with its reason and origin in headers.
DEAD_EVENTS = Topic("product.events.dead.v1", "as received", 30 * _DAY_MS)
# Published to the partition that its source record had.
SIGNALS = Topic("activation.signals.v1", "account_id", 30 * _DAY_MS)

TOPICS = (PRODUCT_EVENTS, UNRESOLVED_EVENTS, DEAD_EVENTS, SIGNALS)
