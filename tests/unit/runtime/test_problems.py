"""Every error of every service has `code`, `message` and `request_id`, and never the framework's own shape."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel

from services.runtime.api import new_api
from services.runtime.cursors import decode_cursor, encode_cursor
from services.runtime.problems import Problem


class Named(BaseModel):
    """What one route takes."""

    name: str


@pytest.fixture
def app() -> FastAPI:
    """An app with one route for each way to fail."""
    app = new_api(title="Test", description="Test")

    @app.get("/refused")
    async def refused() -> None:
        raise Problem(409, "already_there", "Choose another name.", headers={"retry-after": "3"}, name="x")

    @app.get("/typed")
    async def typed(count: int = Query()) -> int:
        return count

    @app.post("/named")
    async def named(body: Named) -> str:
        return body.name

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a bug")

    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/refused", 409, "already_there"),
        ("GET", "/typed?count=many", 422, "invalid_request"),
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/typed", 405, "method_not_allowed"),
        ("GET", "/broken", 500, "internal_error"),
    ],
)
async def test_error_shape(app: FastAPI, method: str, path: str, status: int, code: str) -> None:
    """Whatever fails, a program reads `code`, a person `message`, and support asks for `request_id`."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.request(method, path)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert body["message"]
    assert body["request_id"]
    assert "detail" not in body
    if code != "internal_error":
        assert answer.headers["x-request-id"] == body["request_id"]


@pytest.mark.parametrize(
    ("media_type", "body", "message"),
    [
        (
            "application/x-www-form-urlencoded",
            b'{"name":"x"}',
            "Correct body: send it as `Content-Type: application/json`.",
        ),
        ("application/json", b'{"name":"x",', "Correct body: it is no JSON from character 12 on."),
        ("application/json", b"[1]", "Correct body: send an object."),
        ("application/json", b'{"name":1}', "Correct body.name: Input should be a valid string."),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(app: FastAPI, media_type: str, body: bytes, message: str) -> None:
    """curl sends JSON as a form unless it is told otherwise."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/named", content=body, headers={"content-type": media_type})
    assert answer.json()["message"] == message
    assert f"Correct {answer.json()['errors'][0]['path']}: " in message


async def test_problem_keeps_headers_and_details(app: FastAPI) -> None:
    """A problem may say when to come back and name what it is about."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/refused")
    assert answer.headers["retry-after"] == "3"
    assert answer.json()["name"] == "x"


def test_cursor_round_trip() -> None:
    """A cursor gives back the position that it was made from."""
    assert decode_cursor(encode_cursor(["acmé", 3]), str, int) == ["acmé", 3]


@pytest.mark.parametrize("cursor", ["", "%%%", "bm90IGpzb24", encode_cursor([1]), encode_cursor(["a", "b"]), "\x00"])
def test_foreign_cursor_is_refused(cursor: str) -> None:
    """A cursor that no answer of ours held is the caller's error, with what to do."""
    with pytest.raises(Problem) as refused:
        decode_cursor(cursor, str, int)
    assert refused.value.code == "cursor_invalid"
