"""The contracts in `schemas/` hold for their own examples, and what is generated from them is fresh."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from schemas import export, notices, product_event, signals, unresolved_event
from schemas.commands import COMMANDS, AnyCommand
from schemas.timestamps import from_milliseconds, to_milliseconds, to_rfc3339
from services.activation_engine.plan_templates import TEMPLATES, template_text

EXAMPLES = sorted(export.EXAMPLES.glob("*/*.json"))
DECODERS = {
    "product_event": product_event.decode_product_event,
    "unresolved_event": unresolved_event.decode_unresolved_event,
    "tick": product_event.decode_tick,
    "command": msgspec.json.Decoder(AnyCommand).decode,
    "signal": signals.decode,
    "endpoint.ping": msgspec.json.Decoder(signals.Ping).decode,
    "endpoint.notice": msgspec.json.Decoder(notices.EndpointNotice).decode,
    "delivery.exhausted": msgspec.json.Decoder(notices.DeliveryNotice).decode,
}


def example_name(path: Path) -> str:
    """Like `account.stalled/example`."""
    return f"{path.parent.name}/{path.stem}"


def test_generated_schemas_are_fresh() -> None:
    """`python -m schemas.export` would change nothing."""
    assert {path.name: path.read_text(encoding="utf-8") for path in export.FOLDER.iterdir()} == export.exported()


def test_every_type_has_an_example() -> None:
    """Each signal type that is announced, and each kind of record, is shown by at least one example."""
    records = {"product_event", "unresolved_event", "tick", "command"}
    assert {path.parent.name for path in EXAMPLES} == {*signals.TYPES, *records}


def test_every_command_has_an_example() -> None:
    """One of its own name, which is what the documentation of ingest shows."""
    examples = {path.stem: json.loads(path.read_text()) for path in EXAMPLES if path.parent.name == "command"}
    assert {name: example["command"] for name, example in examples.items()} == {name: name for name in COMMANDS}


@pytest.mark.parametrize("path", EXAMPLES, ids=example_name)
def test_example_follows_its_schema(path: Path) -> None:
    """An example is valid by the exported JSON Schema and decodes by the type that services use."""
    name = export.schema_of_example(path.parent.name)
    Draft202012Validator(json.loads(export.exported()[f"{name}.schema.json"])).validate(json.loads(path.read_text()))
    DECODERS[name](path.read_bytes())


@pytest.mark.parametrize("name", TEMPLATES)
def test_built_in_plans_follow_the_schema(name: str) -> None:
    """Editors find nothing wrong with what the engine takes, short forms included."""
    plan = YAML(typ="safe", pure=True).load(template_text(name))
    plan["start"] = plan["start"][0]
    Draft202012Validator(json.loads(export.exported()["plan.schema.json"])).validate(plan)


@pytest.mark.parametrize("kind", signals.ACCOUNT_TYPES)
def test_signal_example_loses_nothing_in_a_round_trip(kind: str) -> None:
    """Every field of an example is a field of the contract, so that none is shown which nobody sends."""
    text = (export.EXAMPLES / kind / "example.json").read_bytes()
    signal = signals.decode(text)
    assert signal.type == kind
    assert json.loads(signals.encode(signal)).keys() == json.loads(text).keys()


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_795_341_600_120, "2026-11-22T10:00:00.120Z"), (-1, "1969-12-31T23:59:59.999Z")],
)
def test_time_on_the_wire(milliseconds: int, text: str) -> None:
    """Milliseconds survive the way to text and back."""
    assert to_rfc3339(milliseconds) == text
    assert to_milliseconds(from_milliseconds(milliseconds)) == milliseconds
