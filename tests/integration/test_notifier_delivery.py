"""From a record on the signals topic to a verified webhook and its log, on real Kafka and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import pytest_asyncio

from schemas.signals import encode
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Receiver, answer, reset, verify
from tests.running_notifier import Servers, prepare, query, running, until


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surroundings(database_url: str, kafka_bootstrap: str, topic_prefix: str) -> Servers:
    """A migrated database and the topic."""
    made = Servers(database_url, kafka_bootstrap, topic_prefix)
    await prepare(made)
    return made


@pytest_asyncio.fixture(autouse=True)
async def no_endpoints(surroundings: Servers) -> None:
    """What an earlier test registered receives nothing."""
    await query(
        surroundings, "UPDATE notifier.endpoint SET enabled = false, deleted_at = now() WHERE deleted_at IS NULL"
    )


@pytest.fixture
def publisher(surroundings: Servers) -> SignalPublisher:
    """The engine's relay."""
    return SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic)


async def test_signal_reaches_endpoint_signed(surroundings: Servers, publisher: SignalPublisher) -> None:
    """A record's bytes arrive unchanged, verify with the published package, and are logged as succeeded."""
    async with Receiver() as receiver, running(surroundings) as notifier, publisher:
        endpoint = await notifier.add_endpoint(receiver.url("/hook?team=cs"))
        signal = a_signal()
        await publisher.publish([signal])
        (request,) = await receiver.wait_for(1)
        verify(request, endpoint["secret"])
        assert request.body == encode(signal)
        assert request.path == "/hook?team=cs"
        assert request.headers["webhook-id"] == signal.id
        assert request.headers["webhook-attempt"] == "1"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["traceparent"].startswith("00-")

        async def recorded() -> object:
            return await notifier.deliveries(status="succeeded", endpoint_id=endpoint["id"])

        (row,) = await until(recorded)
        assert row["signal_id"] == signal.id
        assert row["attempts"] == 1
        log = (await notifier.ask("GET", f"/v1/deliveries/{row['id']}"))["log"]
        assert [(entry["result"], entry["status_code"], entry["response"]) for entry in log] == [
            ("http_2xx", 200, "ok")
        ]
