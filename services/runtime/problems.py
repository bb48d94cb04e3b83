"""Errors of every HTTP answer: `code` (stable, snake_case), `message` (what to do) and `request_id`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_CODES = {404: "not_found", 405: "method_not_allowed"}
DRAINING = (503, "draining", "This replica is shutting down; send the same again after Retry-After seconds.")
BODY_UNREADABLE = (400, "body_unreadable", "Send one JSON document in UTF-8, not nested too deep.")


class Problem(Exception):
    """Ends a request with `status` and a JSON body; `message` is one sentence that says what to do."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **details: object,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = details


def problem_body(code: str, message: str, request_id: str, **details: object) -> dict[str, object]:
    """The one shape of an error."""
    return {"code": code, "message": message, "request_id": request_id, **details}


def problem_bytes(code: str, message: str, request_id: str, **details: object) -> bytes:
    """The same, encoded, for handlers outside FastAPI."""
    return json.dumps(problem_body(code, message, request_id, **details)).encode()


def new_request_id() -> str:
    """A random id that an answer, its error body and the log share."""
    return uuid.uuid4().hex


def route_of(request: Request) -> str:
    """The template of the path for logs, never the path itself, which names accounts."""
    return str(getattr(request.scope.get("route"), "path", "unknown"))


async def answer_problem(request: Request, error: Exception) -> Response:
    """Exception handler for Problem."""
    assert isinstance(error, Problem)
    return _answer(request, error.status, error.code, error.message, error.headers, error.details)


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """Exception handler for what nobody expected: logged, and answered 500 `internal_error`."""
    log.error(
        "request_failed",
        route=route_of(request),
        method=request.method,
        request_id=request.scope.get("request_id"),
        error=type(error).__name__,
        exc_info=error,
    )
    message = "Something failed on our side; try again, and report the request_id if it persists."
    return _answer(request, 500, "internal_error", message, {}, {})


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem; unexpected ones are logged and answer 500 `internal_error`."""

    async def answer_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [{"path": _path(entry), "message": _words(entry)} for entry in error.errors()]
        first = found[0] if found else {"path": "request", "message": "is not valid"}
        message = f"Correct {first['path']}: {first['message'].rstrip('.')}."
        return _answer(request, 422, "invalid_request", message, {}, {"errors": found})

    async def answer_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        if error.status_code == BODY_UNREADABLE[0]:
            # The framework's own, for bytes that are no text and for nesting that its parser cannot follow.
            return _answer(request, *BODY_UNREADABLE, {}, {})
        code = _CODES.get(error.status_code, "http_error")
        message = f"{request.method} {request.url.path}: {error.detail}. See /docs for what this service answers."
        return _answer(request, error.status_code, code, message, dict(error.headers or {}), {})

    app.add_exception_handler(Problem, answer_problem)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(StarletteHTTPException, answer_http)
    app.add_exception_handler(Exception, answer_unexpected)
    app.add_middleware(RequestIds)


def _path(entry: Mapping[str, Any]) -> str:
    place = entry["loc"][:1] if entry.get("type") == "json_invalid" else entry["loc"]
    return ".".join(str(part) for part in place)


def _words(entry: Mapping[str, Any]) -> str:
    """What is wrong, without the library's prefix to messages of ours, nor its words for bodies that are no object."""
    match entry.get("type"):
        case "json_invalid":
            return f"it is no JSON from character {entry['loc'][-1]} on"
        case "model_attributes_type" if isinstance(entry["input"], bytes):
            # Parsed by nobody, because of its type: curl sends all that it is given as a form.
            return "send it as `Content-Type: application/json`"
        case "model_attributes_type":
            return "send an object"
    return str(entry["msg"]).removeprefix("Value error, ")


def _answer(
    request: Request,
    status: int,
    code: str,
    message: str,
    headers: dict[str, str],
    details: dict[str, object],
) -> Response:
    request_id = request.scope.get("request_id") or new_request_id()
    # ASCII, because a message may quote what cannot be encoded otherwise, such as half a character.
    content = problem_bytes(code, message, request_id, **details)
    return Response(content, status, headers=headers, media_type="application/json")


class RequestIds:
    """ASGI middleware: every request has an id, and its answer says it in `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = new_request_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)
