"""`GET /v1/events`: what became of the newest events, on real Kafka with several partitions and busy ticks."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from services.ingest.debugger.rows import Filters, picker
from services.ingest.debugger.tails import READINGS_MAX, WAITING_MAX, Busy, TopicTails
from services.ingest.delivery import BrokerUnavailable
from tests.integration.ingest_process import ADMIN_KEY, IngestProcess
from tests.ports import free_port
from tests.waiting import wait_until

PARTITIONS = 3
ACCEPTED = "product.events.v1"


# Ticks outnumber the events.
SETTINGS = {"ingest_tick_seconds": 0.05}


def track(message_id: str, account: str | None = "acme", **fields: Any) -> dict[str, Any]:
    """One event as a Segment library sends it."""
    event = {"type": "track", "event": "Report Generated", "userId": "u-1", "messageId": message_id, **fields}
    return event if account is None else {**event, "context": {"groupId": account}}


def send(service: IngestProcess, *events: dict[str, Any]) -> None:
    """Events that are answered before this returns."""
    service.post("/v1/batch", {"batch": list(events)})


def shown(service: IngestProcess, *, key: str = ADMIN_KEY, **parameters: Any) -> httpx.Response:
    """The answer of the debugger."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{service.url}/v1/events", params=parameters, headers=headers, timeout=20)


def waiting(service: IngestProcess, **parameters: Any) -> list[bool]:
    """Of each unresolved event whether it waits."""
    return [row["waiting"] for row in shown(service, status="unresolved", **parameters).json()["data"]]


def message_ids(service: IngestProcess, **parameters: Any) -> list[str]:
    """All pages of an answer, in its order."""
    ids: list[str] = []
    while True:
        answer = shown(service, **parameters).json()
        ids += [row["message_id"] for row in answer["data"]]
        if answer["next"] is None:
            return ids
        parameters["cursor"] = answer["next"]


async def cut_off(kafka_bootstrap: str, topic: str) -> None:
    """Delete all records of a topic, as its retention does after a time."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        whole = {TopicPartition(topic, part): RecordsToDelete(before_offset=-1) for part in range(PARTITIONS)}
        await admin.delete_records(whole)
    finally:
        await admin.close()


def test_accepted_events_say_who_and_by_which_rule(service: IngestProcess) -> None:
    """Newest first, ticks left out, the body as it was sent."""
    by_property = {**track("rule-2", None), "properties": {"account_id": "beta"}}
    for event in (track("rule-1"), by_property, track("rule-3", timestamp="2020-01-01T00:00:00Z")):
        send(service, event)
    service.post("/v1/commands", {"command": "set", "account_id": "acme", "traits": {"a": 1}, "message_id": "rule-4"})
    rows = {row["message_id"]: row for row in shown(service, limit=4).json()["data"]}
    assert list(rows) == ["rule-4", "rule-3", "rule-2", "rule-1"]
    assert [row["resolved_by"] for row in rows.values()] == [
        "command",
        "context.groupId",
        "properties.account_id",
        "context.groupId",
    ]
    assert rows["rule-2"]["body"] == by_property
    assert (rows["rule-3"]["flags"], rows["rule-3"]["occurred_at"]) == (["historical"], "2020-01-01T00:00:00Z")
    assert (rows["rule-4"]["event"], rows["rule-4"]["source"]) == ("set", "bootstrap")


def test_unresolved_events_say_whether_they_wait(service: IngestProcess) -> None:
    """Those without an account, not the lessons on the same topic; counted by their user's once that is known."""
    send(service, track("wait-1", None, userId="late"), track("wait-2", None, userId="later"))
    wait_until(lambda: waiting(service, limit=2) == [True] * 2)
    service.post("/v1/group", {"userId": "late", "groupId": "found", "messageId": "lesson"})
    wait_until(lambda: message_ids(service, message_id="wait-1") == ["wait-1"])
    (row,) = shown(service, message_id="wait-1").json()["data"]
    assert (row["account_id"], row["resolved_by"]) == ("found", "user")
    wait_until(lambda: waiting(service, user_id="late") == [False])
    assert "lesson" not in message_ids(service, status="unresolved")


async def test_what_waits_is_listed_when_the_topic_does_not_have_it_any_more(
    service: IngestProcess, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """After what the topic has, page by page, each once: an event may wait for longer than its record is kept."""
    sent = [f"old-{number}" for number in range(7)]
    send(service, *(track(one, None, userId="patient") for one in sent))
    wait_until(lambda: waiting(service, user_id="patient") == [True] * len(sent))
    await cut_off(kafka_bootstrap, f"{topic_prefix}product.events.unresolved.v1")
    send(service, track("new-1", None, userId="patient"))
    wait_until(
        lambda: message_ids(service, status="unresolved", user_id="patient", limit=3) == ["new-1", *reversed(sent)],
    )
    assert message_ids(service, status="unresolved", message_id="old-3") == ["old-3"]
    assert message_ids(service, status="unresolved", message_id="old-3", account_id="acme") == []


def test_dead_events_say_why(service: IngestProcess) -> None:
    """With the reason's code, what to change, and what came, also when it is no JSON."""
    send(service, track("dead-1"), track("dead-2", "null"), {**track("dead-3"), "properties": {"x": float("nan")}})
    unreadable, named = shown(service, status="dead", limit=2).json()["data"]
    if named["message_id"] != "dead-2":
        unreadable, named = named, unreadable
    assert (named["reason"], named["account_id"], named["route"]) == ("account_invalid", "null", "/v1/batch")
    assert "real id" in named["message"]
    assert named["body"]["event"] == "Report Generated"
    assert unreadable["reason"] == "json_invalid"
    assert '"dead-3"' in unreadable["body"]
    assert [row["message_id"] for row in shown(service, status="dead", message_id="dead-2").json()["data"]] == [
        "dead-2"
    ]


def test_pages_join_without_gap_or_repeat(service: IngestProcess) -> None:
    """Over all partitions, in the order of writing, whatever the size of a page; filters keep what they say."""
    for number in range(12):
        send(service, *(track(f"page-{number}-{place}", f"account-{place}") for place in range(5)))
    everything = [one for one in message_ids(service, limit=200) if one.startswith("page-")]
    assert len(everything) == len(set(everything)) == 60
    assert [int(one.split("-")[1]) for one in everything] == sorted(
        (n for n in range(12) for _ in range(5)), reverse=True
    )
    assert [one for one in message_ids(service, limit=7) if one.startswith("page-")] == everything
    assert message_ids(service, account_id="account-3", limit=5) == [f"page-{number}-3" for number in range(11, -1, -1)]
    assert message_ids(service, message_id="page-7-1") == ["page-7-1"]
    assert message_ids(service, user_id="nobody") == []


def test_what_was_written_since_an_answer(service: IngestProcess) -> None:
    """`latest` of one answer is `after` of the next: nothing twice, nothing missed."""
    send(service, track("since-1"))
    latest = shown(service, limit=1).json()["latest"]
    assert shown(service, after=latest).json()["data"] == []
    send(service, track("since-2"), track("since-3", "other"))
    assert sorted(message_ids(service, after=latest, limit=1)) == ["since-2", "since-3"]


def test_who_may_look_and_what_is_refused(service: IngestProcess) -> None:
    """Keys that read accounts; a cursor of another list is none."""
    reader, writer = (
        service.post("/v1/keys", {"name": "k", "scopes": [scope]}).json()["key"]
        for scope in ("accounts:read", "events:write")
    )
    assert shown(service, key=reader).status_code == 200
    assert shown(service, key=writer).json()["code"] == "scope_missing"
    assert shown(service, status="lost").json()["code"] == "invalid_request"
    of_dead = shown(service, status="dead").json()["latest"]
    for cursor in (of_dead, "x", "WyJhY2NlcHRlZCIseyIwIjotMX1d"):
        refused = shown(service, cursor=cursor)
        assert (refused.status_code, refused.json()["code"]) == (400, "cursor_invalid")


async def test_bounds(service: IngestProcess, kafka_bootstrap: str, topic_prefix: str) -> None:
    """Few read at a time and few wait; one who comes after these is told so; large records make short pages."""
    large = {**track("large"), "properties": {"text": "x" * 60_000}}
    for _ in range(3):
        send(service, *[large] * 60)
    tails = TopicTails(bootstrap_servers=kafka_bootstrap)
    pick = picker("accepted", Filters(message_id="large"))
    asked = [
        asyncio.create_task(tails.newest(topic_prefix + ACCEPTED, PARTITIONS, pick=pick, limit=200))
        for _ in range(READINGS_MAX + WAITING_MAX + 1)
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Busy) for answer in answers) == 1
    pages = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(pages) == READINGS_MAX + WAITING_MAX
    assert all(60 <= len(page.found) < 80 and page.more for page in pages)


async def test_a_broker_that_is_away_is_told() -> None:
    """Within seconds."""
    tails = TopicTails(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnavailable):
        await tails.newest("t", 1, pick=picker("dead", Filters()), limit=1)
