"""Events of people whom nobody knows yet: acknowledged before Kafka goes away, told whose they are when it is back."""

from __future__ import annotations

from tests.chaos.violation import require
from tests.integration.ingest_process import IngestProcess
from tests.soak.load import EVENTS_PER_BATCH, PEOPLE_NUMBER
from tests.waiting import wait_until

_RESOLVED_SECONDS = 30.0


def send_events(service: IngestProcess) -> None:
    """One batch, each event of another person."""
    track = {"type": "track", "event": "Report Generated"}
    _send(service, [{**track, "messageId": f"{PEOPLE_NUMBER}-{place}"} for place in range(EVENTS_PER_BATCH)])


def tell_accounts(service: IngestProcess) -> None:
    """And wait until the resolver has found all of the events."""
    group = {"type": "group", "groupId": "acct-1"}
    _send(service, [{**group, "messageId": f"group-{place}"} for place in range(EVENTS_PER_BATCH)])
    wait_until(
        lambda: service.metric("firstvalue_ingest_resolver_events_total", outcome="resolved") >= EVENTS_PER_BATCH,
        timeout_seconds=_RESOLVED_SECONDS,
        what="the resolver is not back",
    )


def _send(service: IngestProcess, events: list[dict[str, str]]) -> None:
    batch = [{**event, "userId": f"person-{place}"} for place, event in enumerate(events)]
    answer = service.post("/v1/batch", {"batch": batch})
    require(answer.status_code == 200, "not taken:", answer.text)
