"""Writes `json/*.schema.json` and `asyncapi.yaml`: `python -m schemas.export`; stale files fail the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas.asyncapi import asyncapi_yaml
from schemas.commands import AnyCommand
from schemas.notices import ENDPOINT_NOTICE_TYPES, DeliveryNotice, EndpointNotice
from schemas.plan_file import PlanFile
from schemas.product_event import ProductEvent, Tick
from schemas.signals import TYPES, Ping, Signal
from schemas.unresolved_event import UnresolvedEvent

ASYNCAPI = Path(__file__).parent / "asyncapi.yaml"
FOLDER = Path(__file__).parent / "json"
EXAMPLES = Path(__file__).parent / "examples"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def exported() -> dict[str, str]:
    """Every generated file by its name, as it must stand in the folder."""
    schemas: dict[str, dict[str, Any]] = {
        "product_event": msgspec.json.schema(ProductEvent),
        "unresolved_event": msgspec.json.schema(UnresolvedEvent),
        "command": msgspec.json.schema(AnyCommand),
        "tick": msgspec.json.schema(Tick),
        "signal": msgspec.json.schema(Signal),
        "endpoint.ping": msgspec.json.schema(Ping),
        "endpoint.notice": msgspec.json.schema(EndpointNotice),
        "delivery.exhausted": msgspec.json.schema(DeliveryNotice),
        "plan": PlanFile.model_json_schema(by_alias=True),
    }
    return {
        f"{name}.schema.json": json.dumps({"$schema": _DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }


def schema_of_example(folder: str) -> str:
    """The name of the schema that examples in `examples/<folder>` follow."""
    if folder in ENDPOINT_NOTICE_TYPES:
        return "endpoint.notice"
    return "signal" if folder in TYPES and folder.startswith("account.") else folder


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in exported().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    ASYNCAPI.write_text(asyncapi_yaml(EXAMPLES, schema_of=schema_of_example), encoding="utf-8")


if __name__ == "__main__":
    main()
