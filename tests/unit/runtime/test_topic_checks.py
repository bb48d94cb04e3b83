"""What creating and checking topics says about a broker that refuses, or does not tell all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import SIGNALS
from services.runtime import kafka
from services.runtime.kafka import BrokerUnreachable, TopicProblem, check_topics, create_topics

DENIED, CLUSTER_DENIED, NO_LEADER, UNKNOWN, TOO_FEW_BROKERS, POLICY = 29, 31, 5, -1, 38, 44
NAME = SIGNALS.named("")


class Admin:
    """A client whose broker answers with these codes, and tells no `hidden` setting."""

    def __init__(
        self, *, described: int = 0, configured: int = 0, created: tuple[Any, ...] = (), hidden: str = ""
    ) -> None:
        self._described = described
        self._configured = configured
        self._created = created
        self._config = {"max.message.bytes": "2000000", **SIGNALS.broker_config()}
        self._config.pop(hidden, None)

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def list_topics(self) -> list[str]:
        return []

    async def create_topics(self, topics: list[Any]) -> Any:
        return SimpleNamespace(topic_errors=[(topics[0].name, *self._created)])

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"topic": name, "error_code": self._described, "partitions": [{"replicas": [1]}]} for name in names]

    async def describe_configs(self, resources: list[Any]) -> list[Any]:
        told = list(self._config.items())
        return [SimpleNamespace(resources=[(self._configured, "", 2, one.name, told) for one in resources])]


@pytest.mark.parametrize(
    ("admin", "error", "told"),
    [
        (Admin(described=DENIED), TopicProblem, f"Describe on {NAME} .*ACL"),
        (Admin(configured=DENIED), TopicProblem, f"DescribeConfigs on {NAME} .*ACL"),
        (Admin(hidden="cleanup.policy"), TopicProblem, f"{NAME} cannot be checked: .*cleanup.policy"),
        (Admin(described=NO_LEADER), BrokerUnreachable, "LeaderNotAvailable"),
        (Admin(configured=UNKNOWN), BrokerUnreachable, "UnknownError"),
    ],
    ids=["denied", "settings_denied", "setting_hidden", "starting", "something"],
)
async def test_only_what_passes_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, admin: Admin, error: type[Exception], told: str
) -> None:
    """The rest names what an operator has to allow."""
    monkeypatch.setattr(kafka, "AIOKafkaAdminClient", lambda **_: admin)
    with pytest.raises(error, match=told):
        await check_topics("broker:1", [SIGNALS], prefix="")


@pytest.mark.parametrize(
    ("created", "told"),
    [
        ((DENIED, "Authorization failed."), rf"Create on {NAME} \(TopicAuthorizationFailedError\); .*ACL"),
        ((CLUSTER_DENIED, None), rf"Create on {NAME} \(ClusterAuthorizationFailedError\); .*ACL"),
        ((TOO_FEW_BROKERS, "Only 1 broker is registered."), r"\(InvalidReplicationFactorError\): Only 1 broker is reg"),
        ((POLICY, None), r"\(PolicyViolationError\): \w+"),
    ],
    ids=["denied", "cluster_denied", "reason_told", "no_reason_told"],
)
async def test_a_topic_that_is_not_created_says_why(
    monkeypatch: pytest.MonkeyPatch, created: tuple[int, str | None], told: str
) -> None:
    """In the broker's words, or what to allow."""
    monkeypatch.setattr(kafka, "AIOKafkaAdminClient", lambda **_: Admin(created=created))
    with pytest.raises(TopicProblem, match=told):
        await create_topics("broker:1", [SIGNALS], prefix="", partitions=1, replication=1)


async def test_a_topic_that_nobody_sees_is_told_like_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was acknowledged; to ask again later is all that is to do."""
    monkeypatch.setattr(kafka, "AIOKafkaAdminClient", lambda **_: Admin(created=(0, None), described=NO_LEADER))
    monkeypatch.setattr(kafka, "_VISIBLE_SECONDS", 0.01)
    with pytest.raises(BrokerUnreachable, match="TimeoutError"):
        await create_topics("broker:1", [SIGNALS], prefix="", partitions=1, replication=1)
