"""Kafka or PostgreSQL away: ingest says so in time, holds no memory, and recovers by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.local.data_folder import DataFolder
from tests.fakes.private_servers import frozen, pid_of
from tests.integration.ingest_process import IngestProcess, end, ingest_environment, launch, prepare, running_ingest
from tests.integration.topic_reader import message_ids_of
from tests.waiting import wait_until

PREFIX = "away."
ACK_SECONDS = 2
TRACK: dict[str, Any] = {"event": "X", "userId": "u-1", "context": {"groupId": "acme"}}


@pytest.fixture(scope="module")
def environment(private: DataFolder) -> dict[str, str]:
    """Of a service on the private servers; it gives Kafka two seconds instead of five, so that the tests are short."""
    connection = private.read_state()["connection"]
    environment = ingest_environment(
        database_url=connection["database"],
        kafka_bootstrap=connection["kafka"],
        topic_prefix=PREFIX,
        ingest_ack_seconds=ACK_SECONDS,
        ingest_tick_seconds=1,
    )
    prepare(environment)
    return environment


def answered(service: IngestProcess, message_id: str) -> tuple[int, float]:
    """(status, seconds) of one event, without what it takes to make a client."""
    answer = service.post("/v1/track", {**TRACK, "messageId": message_id})
    if answer.status_code == 503:
        assert answer.json()["code"] in ("broker_unavailable", "overloaded")
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    return answer.status_code, answer.elapsed.total_seconds()


def test_a_broker_that_hangs_is_answered_503_in_time_and_recovered_from(
    environment: dict[str, str], private: DataFolder, tmp_path: Path
) -> None:
    """Under load: no 200 that is not in the log, flat memory, at once 503 after the first, live, not ready, back; a
    service that starts meanwhile waits, and then works."""
    with running_ingest(environment, tmp_path) as service, ExitStack() as held:
        assert answered(service, "before")[0] == 200
        acked = ["before"]
        with frozen(pid_of(private, "kafka")):
            with ThreadPoolExecutor(8) as pool:
                first = list(pool.map(lambda number: answered(service, f"hung-{number}"), range(16)))
            assert {status for status, _ in first} == {503}
            assert max(seconds for _, seconds in first) < ACK_SECONDS + 1
            # Without a wait for Kafka.
            status, seconds = answered(service, "later")
            assert (status, seconds < ACK_SECONDS / 2) == (503, True)
            wait_until(lambda: not service.is_ready())
            wait_until(lambda: service.metric("firstvalue_ingest_inflight_bytes") == 0)
            waiting = launch(environment, tmp_path)
            held.callback(end, waiting)
            # Until a new producer was tried in vain as well.
            wait_until(lambda: "broker_unavailable" in service.log.read_text())
            wait_until(lambda: "waiting_for_servers" in waiting.log.read_text())
        began = time.monotonic()
        wait_until(lambda: answered(service, "after")[0] == 200)
        assert time.monotonic() - began < 5
        wait_until(service.is_ready)
        waiting.wait_ready()
        assert answered(waiting, "started")[0] == 200
        acked.append("started")
        for number in range(5):
            assert answered(service, f"again-{number}")[0] == 200
            acked.append(f"again-{number}")
        assert service.metric("firstvalue_ingest_publish_failures_total", error="timeout") >= 1
        assert end(service) == 0
    assert set(acked) <= set(message_ids_of(environment["KAFKA_BOOTSTRAP_SERVERS"], f"{PREFIX}product.events.v1"))


def test_a_stop_while_the_broker_hangs_ends_in_time(
    environment: dict[str, str], private: DataFolder, tmp_path: Path
) -> None:
    """The client library alone would wait for ever."""
    service = launch({**environment, "FIRSTVALUE_DRAIN_SECONDS": "5"}, tmp_path)
    try:
        service.wait_ready()
        with frozen(pid_of(private, "kafka")):
            assert answered(service, "hung")[0] == 503
            began = time.monotonic()
            assert end(service) == 0
            assert time.monotonic() - began < 12
    finally:
        end(service)


def test_a_database_that_hangs_stops_no_event(environment: dict[str, str], private: DataFolder, tmp_path: Path) -> None:
    """Keys that are known go on working; a service that starts meanwhile waits, and then works."""
    with running_ingest(environment, tmp_path) as service:
        key = service.post("/v1/keys", {"name": "n", "scopes": ["events:write"]}).json()["key"]
        assert service.post("/v1/track", TRACK, key=key).status_code == 200
        with frozen(pid_of(private, "postgres")):
            for _ in range(20):
                assert service.post("/v1/track", TRACK, key=key).status_code == 200
            waiting = launch(environment, tmp_path)
            try:
                wait_until(lambda: "waiting_for_servers" in waiting.log.read_text())
                assert waiting.process.poll() is None
                assert not waiting.is_ready()
            except BaseException:
                end(waiting)
                raise
        waiting.wait_ready()
        assert waiting.post("/v1/track", TRACK, key=key).status_code == 200
        assert end(waiting) == 0
