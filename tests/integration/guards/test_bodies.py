"""Bodies that no admin route takes: too large, not UTF-8, nested without an end. Each is refused as a problem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.ingest.routes import ROUTE_BY_PATH
from services.runtime.body_limit import BODY_BYTES_MAX
from tests.integration.guards.documents import SERVICES, Operation, document_of, operations_of
from tests.running_system import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def in_pieces(size_bytes: int) -> AsyncIterator[bytes]:
    """A body whose length no header says."""
    for _ in range(0, size_bytes, 65_536):
        yield b" " * 65_536


# What a body is, and the answers that refuse it. Plan files name the wrong byte's place.
BODIES: dict[str, tuple[Any, set[tuple[int, str]]]] = {
    "a byte too many": (b" " * (BODY_BYTES_MAX + 1), {(413, "body_too_large")}),
    "without a length": (None, {(413, "body_too_large")}),
    "Latin-1": ('{"name": "Zoë"}'.encode("latin-1"), {(400, "body_unreadable"), (422, "plan_invalid")}),
    "UTF-16": ('{"name": "Zoë"}'.encode("utf-16"), {(415, "charset_unsupported")}),
    "UTF-16 without a mark": ('{"name": "Zoë"}'.encode("utf-16-le"), {(415, "charset_unsupported")}),
    "nested without an end": (
        b"[" * 20_000,
        {(400, "body_unreadable"), (422, "invalid_request"), (422, "plan_invalid")},
    ),
    "cut off": (b'{"name": "Zo', {(422, "invalid_request"), (422, "plan_invalid")}),
}


def check_problem(answer: httpx.Response, expected: set[tuple[int, str]], what: str) -> None:
    """One of these, in the one shape."""
    problem = answer.json()
    assert (answer.status_code, problem["code"]) in expected, f"{what}: {answer.status_code} {answer.text[:300]}"
    assert problem["message"].endswith("."), what
    assert problem["request_id"] == answer.headers["x-request-id"], what


async def with_bodies(system: RunningSystem, service: str) -> list[Operation]:
    """The admin operations of a service that take a body."""
    return [
        operation
        for operation in operations_of(service, await document_of(system, service))
        if "requestBody" in operation.document and operation.path not in ROUTE_BY_PATH
    ]


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("service", SERVICES)
async def test_no_admin_route_takes_them(system: RunningSystem, service: str, what: str) -> None:
    """And what refuses is documented."""
    body, expected = BODIES[what]
    operations = await with_bodies(system, service)
    assert operations
    async with system.client(service) as http:
        for operation in operations:
            content = in_pieces(2 * BODY_BYTES_MAX) if body is None else body
            headers = {"content-type": operation.request()["headers"]["content-type"]}
            answer = await http.request(operation.method, operation.url, content=content, headers=headers)
            check_problem(answer, expected, operation.name)
            assert str(answer.status_code) in operation.document["responses"], operation.name


@pytest.mark.parametrize("service", SERVICES)
async def test_nor_does_a_route_without_a_body(system: RunningSystem, service: str) -> None:
    """A key does not matter: nobody may have a service hold what it will not read."""
    async with system.client(service, key=None) as http:
        for path in ("/openapi.json", "/nothing"):
            answer = await http.request("GET", path, content=b" " * (BODY_BYTES_MAX + 1))
            check_problem(answer, {(413, "body_too_large")}, path)
