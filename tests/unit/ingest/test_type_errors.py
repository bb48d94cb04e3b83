"""Whoever sends a value of the wrong type is told in the words of JSON what to send, and nothing of the value."""

from __future__ import annotations

from typing import Any

import pytest

from services.ingest.events import BodyInvalid, Rejected
from services.ingest.routes import Form
from tests.unit.ingest.reading import read_all

CLOUD_EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
COMMAND = {"command": "resume", "account_id": "acme"}


def refusal(form: Form, body: Any) -> str:
    """Why nothing of a body is taken."""
    try:
        [rejected] = read_all(form, body, type_="track")
    except BodyInvalid as invalid:
        return invalid.message
    assert isinstance(rejected, Rejected)
    return rejected.message


@pytest.mark.parametrize(
    ("form", "body", "told"),
    [
        (Form.SEGMENT_CALL, {"event": 5}, "event: send `event` as text or null, not as a whole number"),
        (Form.SEGMENT_CALL, {"context": ["x"]}, "event: send `context` as an object or null, not as an array"),
        (Form.SEGMENT_CALL, b"17", "event: send it as an object, not as a whole number"),
        (Form.SEGMENT_BATCH, {"batch": [1], "sentAt": []}, "batch: send `sentAt` as"),
        (Form.SEGMENT_BATCH, {"batch": [1], "writeKey": 5}, "batch: send `writeKey` as text or null"),
        (Form.POSTHOG, {"event": "E", "properties": {"$group_type": True}}, "send `properties.$group_type` as text"),
        (Form.CLOUDEVENTS, {**CLOUD_EVENT, "time": 17.5}, "send `time` as text or null, not as a decimal number"),
        (Form.COMMANDS, {"account_id": "acme"}, "command: `command` is missing"),
        (Form.COMMANDS, {**COMMAND, "message_id": {"a": 1}}, "`message_id` as text or null, not as an object"),
    ],
)
def test_a_wrong_type_is_told_in_words_of_json(form: Form, body: Any, told: str) -> None:
    """By the field's place in what was sent."""
    message = refusal(form, body)
    assert message.startswith("Correct the ")
    assert told in message
    assert message.endswith(".")


def test_nothing_is_told_of_the_value() -> None:
    """It may be long, and somebody's."""
    secret = "kim - at `$.event`"
    values: list[Any] = [5.5, [secret], {secret: secret}]
    fields = ("event", "messageId", "userId", "timestamp", "context", "properties", "traits")
    events = [{"event": "E", "userId": "u", field: value} for field in fields for value in values]
    refused = [one for event in events for one in read_all(Form.SEGMENT_CALL, event, type_="track")]
    told = [one.message for one in refused if isinstance(one, Rejected)]
    assert len(told) > 12
    assert not [message for message in told if "kim" in message or "Expected" in message]
