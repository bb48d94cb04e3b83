"""What a check of topics says about a broker that does not tell all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import SIGNALS
from services.runtime import kafka
from services.runtime.kafka import BrokerUnreachable, TopicProblem, check_topics

DENIED, NO_LEADER, UNKNOWN = 29, 5, -1
NAME = SIGNALS.named("")


class Admin:
    """A client whose broker answers with these codes, and tells no `hidden` setting."""

    def __init__(self, *, described: int = 0, configured: int = 0, hidden: str = "") -> None:
        self._described = described
        self._configured = configured
        self._config = {"max.message.bytes": "2000000", **SIGNALS.broker_config()}
        self._config.pop(hidden, None)

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

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
