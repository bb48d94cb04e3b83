"""Kafka away while ingest is under load, in short; `make soak-ingest` is the long form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.ingest_process import end
from tests.soak.run import Surroundings, Terms, soak, surroundings

# A broker is fenced after 3 s of silence, and a batch without a leader fails two seconds later.
# Another test has its share of the machine, which may be a greater one soon after the load was measured.
TERMS = Terms(outage_seconds=4, leaderless_seconds=4, healthy_seconds=1, ack_seconds=2, share=0.4)


@pytest.fixture(scope="module")
def around() -> Iterator[Surroundings]:
    """Brokers that may be killed, and an ingest that gives them two seconds."""
    with surroundings(TERMS) as running:
        yield running


async def test_what_was_acknowledged_survives_every_kind_of_outage(around: Surroundings) -> None:
    """Killed, frozen, leaderless: in time 503, flat memory, back by itself, and nothing acknowledged is missing; the
    log tells of it in lines of our own."""
    figures = await soak(TERMS, around)
    assert figures["acked"] > 1_000
    # What nobody retrieved is told of when it is deleted.
    assert end(around.service) == 0
    assert [line["event"] for line in around.service.logged() if "logger" in line] == []
