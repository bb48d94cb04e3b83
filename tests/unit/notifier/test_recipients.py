"""What a process remembers of endpoints: enough for all there are, and not those that were deleted for ever."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX
from services.notifier.domain.endpoint_url import PORTS
from services.notifier.domain.signature import Scheme, SigningKey
from services.notifier.metrics import NotifierMetrics
from services.notifier.recipients import Recipients
from services.notifier.store.secrets import Secrets
from tests.unit.notifier.test_dispatcher import claims

AT_ONCE = 1_000


def endpoint(id_: str) -> Any:
    """As the store reads it."""
    terms = {"timeout_seconds": 15, "concurrency_max": 10, "rate_per_second": None, "burst": None}
    url = "https://hooks.example.com/"
    return SimpleNamespace(id=id_, revision=1, url=url, retry_schedule_seconds=None, **terms)


async def test_keys_of_deleted_endpoints_are_not_kept_for_ever() -> None:
    """However many come and go; those that are asked for are there."""
    asked: list[str] = []

    async def sendable(ids: Iterable[str]) -> list[Any]:
        asked.extend(ids)
        return [(endpoint(id_), Secrets((SigningKey(Scheme.HMAC_SHA256, bytes(32)),))) for id_ in ids]

    recipients = Recipients(cast(Any, SimpleNamespace(sendable=sendable)), ports=PORTS)
    for first in range(0, 2 * ENDPOINTS_MAX, AT_ONCE):
        given = [claim for number in range(AT_ONCE) for claim in claims(f"ep_{first + number}", 1)]
        used = claims("used", 1)
        assert len(await recipients.of(given + used)) == AT_ONCE + 1
        assert len(recipients) <= ENDPOINTS_MAX + AT_ONCE + 1
    assert asked.count("used") == 1


def test_who_answered_lately_is_not_remembered_for_ever() -> None:
    """The series of healthy endpoints counts those of the last hour, of as many endpoints as there may be."""
    registry = CollectorRegistry()
    metrics = NotifierMetrics(registry)
    for number in range(3 * ENDPOINTS_MAX):
        metrics.settled(f"ep_{number}", delivered=True)
    for number in (0, 3 * ENDPOINTS_MAX - 1):
        metrics.settled(f"ep_{number}", delivered=False)
    exhausted = {"outcome": "exhausted"}
    assert registry.get_sample_value("firstvalue_notifier_healthy_deliveries_total", exhausted) == 1
