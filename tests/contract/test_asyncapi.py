"""The AsyncAPI document says what the code does: fresh, complete, and with examples that follow their schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from schemas import export
from schemas.asyncapi import asyncapi_yaml
from schemas.signals import TYPES
from schemas.topics import TOPICS

_DOCUMENT: dict[str, Any] = YAML(typ="safe", pure=True).load(export.ASYNCAPI.read_text(encoding="utf-8"))
_MESSAGES = _DOCUMENT["components"]["messages"]


def test_the_document_is_fresh() -> None:
    """`python -m schemas.export` would change nothing."""
    assert export.ASYNCAPI.read_text(encoding="utf-8") == asyncapi_yaml(
        export.EXAMPLES, schema_of=export.schema_of_example
    )


def test_every_topic_and_every_type_of_webhook_is_there() -> None:
    """Whoever reads the document alone misses nothing."""
    channels = _DOCUMENT["channels"]
    assert {channel["address"] for name, channel in channels.items() if name != "webhooks"} == {
        topic.name for topic in TOPICS
    }
    titles = {_MESSAGES[name]["title"] for name in channels["webhooks"]["messages"]}
    assert titles == set(TYPES)


def test_every_reference_leads_somewhere() -> None:
    """Inside the document and to the exported schemas."""

    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values()))
        return set().union(*map(references, node)) if isinstance(node, list) else set()

    for reference in references(_DOCUMENT):
        if reference.startswith("#/"):
            place: Any = _DOCUMENT
            for step in reference[2:].split("/"):
                place = place[step]
        else:
            assert (export.ASYNCAPI.parent / reference).exists()


@pytest.mark.parametrize("name", sorted(_MESSAGES))
def test_examples_of_a_message_follow_its_schema(name: str) -> None:
    """Each message but the dead letter, which may be anything, has one at least."""
    message = _MESSAGES[name]
    if name == "deadEvent":
        return
    schema = json.loads((export.ASYNCAPI.parent / message["payload"]["$ref"]).read_text(encoding="utf-8"))
    assert message["examples"]
    for example in message["examples"]:
        Draft202012Validator(schema).validate(example["payload"])
