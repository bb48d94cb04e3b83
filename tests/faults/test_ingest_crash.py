"""Kill -9 of ingest at every named point: what was answered 200 is in Kafka, and a retry gives one effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.faults import test_ingest_resolver_crash
from tests.faults.killed_ingest import Request, send_until_killed
from tests.integration.ingest_process import end, launch, running_ingest
from tests.integration.topic_reader import message_ids_of
from tests.waiting import wait_until

SOURCES = Path(__file__).parents[2] / "services" / "ingest"
POINTS = ("ingest.before_produce", "ingest.sent_unacked", "ingest.half_acked", "ingest.acked_unanswered")
CLIENTS = 4


def batches(name: str) -> Iterator[Request]:
    """Endless batches over several accounts, so several partitions."""
    number = 0
    while True:
        owed = {f"{name}-{number}-{index}": f"a-{index}" for index in range(20)}
        number += 1
        events = [
            {"type": "track", "event": "X", "userId": "u", "messageId": id_, "context": {"groupId": account}}
            for id_, account in owed.items()
        ]
        yield Request(owed, {"batch": events})


def test_every_crash_point_of_the_code_is_tried_here() -> None:
    """A new point without a test, here or beside, fails."""
    found = {
        name for path in SOURCES.rglob("*.py") for name in re.findall(r'crash_point\("([^"]+)"\)', path.read_text())
    }
    assert found == {*POINTS, *test_ingest_resolver_crash.POINTS}


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_loses_nothing_that_was_acknowledged(
    prepared: dict[str, str], kafka_bootstrap: str, topic_prefix: str, tmp_path: Path, point: str
) -> None:
    """Under load from several clients; the batches that were under way are sent again and are in the log then."""
    # The first points are passed at start by the ticks of the three partitions.
    owed, unanswered = send_until_killed(prepared, tmp_path, crash_at=f"{point}:40", requests=batches)
    topic = f"{topic_prefix}product.events.v1"
    assert owed.keys() <= set(message_ids_of(kafka_bootstrap, topic))
    with running_ingest(prepared, tmp_path) as again:
        for request in unanswered:
            assert again.post("/v1/batch", request.body).status_code == 200
            owed |= request.owed
    # A record may stand in the log two times, under one id: that is one effect.
    assert owed.keys() <= set(message_ids_of(kafka_bootstrap, topic))


def test_a_stop_under_load_loses_nothing(
    prepared: dict[str, str], kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """SIGTERM: requests under way are answered, then the process ends with status 0. A request that it had not read
    when it closed its connections is left without an answer, and without an effect."""
    service = launch(prepared, tmp_path)
    service.wait_ready()
    acked: list[str] = []
    unanswered: list[str] = []

    def send(number: int) -> None:
        for owed, body in batches(f"stop-{number}"):
            try:
                status = service.post("/v1/batch", body).status_code
            except httpx.TransportError:
                unanswered.extend(owed)
                return
            if status == 200:
                acked.extend(owed)
            else:
                assert status == 503

    with ThreadPoolExecutor(CLIENTS) as pool:
        sending = [pool.submit(send, number) for number in range(CLIENTS)]
        wait_until(lambda: len(acked) > 500, timeout_seconds=20)
        assert end(service) == 0
        for one in sending:
            one.result()
    stored = set(message_ids_of(kafka_bootstrap, f"{topic_prefix}product.events.v1"))
    assert set(acked) <= stored
    assert not set(unanswered) & stored
