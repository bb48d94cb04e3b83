"""The OpenAPI documents of the running services, operation by operation, and a request for each from its examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.running_system import RunningSystem

SERVICES = ("ingest", "engine", "notifier")
_METHODS = ("get", "put", "post", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path of a service."""

    service: str
    method: str
    path: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """As contracts write it: `GET /v1/accounts/{account_id}`."""
        return f"{self.method} {self.path}"

    @property
    def url(self) -> str:
        """The path with the examples of its parameters."""
        examples = {
            parameter["name"]: _example(parameter)
            for parameter in self.document.get("parameters", ())
            if parameter["in"] == "path"
        }
        return re.sub(r"\{([^}:]+)[^}]*\}", lambda match: str(examples.get(match[1], "nothing")), self.path)

    def request(self) -> dict[str, Any]:
        """`content` and `headers` for the documented example of a body; nothing without one."""
        for media, content in self.document.get("requestBody", {}).get("content", {}).items():
            value = _example(content)
            if isinstance(value, dict):
                # Where PostHog's clients put the key; another one than in the header is refused as such.
                value.pop("api_key", None)
            body = value if isinstance(value, str) else json.dumps({} if value is None else value)
            return {"content": body.encode(), "headers": {"content-type": media}}
        return {}


async def document_of(system: RunningSystem, service: str) -> dict[str, Any]:
    """What a service says of itself; nobody needs a key to read it."""
    async with system.client(service, key=None) as http:
        answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def operations_of(service: str, document: dict[str, Any]) -> Iterator[Operation]:
    """All that a document lists."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield Operation(service, method.upper(), path, methods[method])


def _example(described: dict[str, Any]) -> Any:
    """The first example of a parameter or a body, wherever it stands."""
    for holder in (described, described.get("schema", {})):
        if "example" in holder:
            return holder["example"]
        examples = holder.get("examples")
        if isinstance(examples, list) and examples:
            return examples[0]
        if isinstance(examples, dict) and examples:
            return next(iter(examples.values()))["value"]
    return 1 if described.get("schema", {}).get("type") == "integer" else None
