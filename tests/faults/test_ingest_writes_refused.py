"""Kafka answers, and refuses what is written: nothing is told to be taken, and all goes on once it takes it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.topics import PRODUCT_EVENTS
from tests.integration.ingest_process import IngestProcess
from tests.integration.topic_reader import message_ids_of
from tests.topic_settings import set_topic
from tests.waiting import wait_until

ACK_SECONDS = 2
RECOVERY_SECONDS = 5.0


SETTINGS = {"ingest_ack_seconds": ACK_SECONDS}


@pytest.fixture(scope="module")
def service(service: IngestProcess) -> Iterator[IngestProcess]:
    """It is ready at the end."""
    yield service
    assert service.is_ready()


def answer_of(service: IngestProcess, message_id: str) -> int:
    """The status for one event of 3 KB, which comes in time whatever it is."""
    track: dict[str, Any] = {"event": "X", "userId": "u", "context": {"groupId": "acme"}, "messageId": message_id}
    answer = service.post("/v1/track", {**track, "properties": {"x": "y" * 3_000}})
    assert answer.elapsed.total_seconds() < ACK_SECONDS + 1
    return answer.status_code


def test_what_kafka_refuses_is_answered_503(service: IngestProcess, kafka_bootstrap: str, topic_prefix: str) -> None:
    """For as long as it does, and no longer: the producer is replaced, because a batch that failed blocks all later."""
    topic, config = PRODUCT_EVENTS.named(topic_prefix), PRODUCT_EVENTS.broker_config()
    assert answer_of(service, "before") == 200
    asyncio.run(set_topic(kafka_bootstrap, topic, config | {"max.message.bytes": "1000"}))
    wait_until(lambda: answer_of(service, "first") == 503)
    assert {answer_of(service, f"refused-{number}") for number in range(3)} == {503}
    asyncio.run(set_topic(kafka_bootstrap, topic, config))
    began = time.monotonic()
    wait_until(lambda: answer_of(service, "after") == 200)
    assert time.monotonic() - began < RECOVERY_SECONDS
    wait_until(lambda: service.metric("firstvalue_ingest_inflight_bytes") == 0)
    assert service.metric("firstvalue_ingest_publish_failures_total", error="too_large") >= 1
    stored = set(message_ids_of(kafka_bootstrap, topic))
    assert {"before", "after"} <= stored
    assert not stored & {f"refused-{number}" for number in range(3)}
