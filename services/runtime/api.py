"""The FastAPI app that each service builds its admin and read APIs on, and how its routes document their problems."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.runtime import VERSION
from services.runtime.body_limit import OVERLOADED, TOO_LARGE, WRONG_CHARSET, BodyLimit
from services.runtime.postgres import is_transient
from services.runtime.problems import (
    BODY_UNREADABLE,
    Problem,
    answer_problem,
    answer_unexpected,
    install_problem_handlers,
    route_of,
)

log = structlog.get_logger(__name__)

_RETRY_AFTER_SECONDS = "1"
# What every route with a key and a database may answer, and the listener before it.
_ALWAYS = (
    (401, "key_missing", "Send an API key as `Authorization: Bearer <key>`."),
    (401, "key_unknown", "This API key is unknown, expired or revoked; create one with `firstvalue key create`."),
    (408, "request_too_slow", "Send the headers within 10 s and the body within 30 s."),
    (403, "scope_missing", "This key lacks the scope of this operation; use or create one that has it."),
    (422, "invalid_request", "Correct query.limit: Input should be less than or equal to 500."),
    (431, "headers_too_large", "Keep the headers within 65536 bytes."),
    (503, "database_unavailable", "The database is away; try again after the seconds in Retry-After."),
)
# What every route with a body may answer besides.
_WITH_BODY = (BODY_UNREADABLE, TOO_LARGE, WRONG_CHARSET, OVERLOADED)
_METHODS = ("post", "put", "patch", "delete")
_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}


class ProblemDocument(BaseModel):
    """Every error: a stable code, what to do, and the id under which our log knows the request."""

    code: str = Field(description="Stable, snake_case; programs compare this")
    message: str = Field(description="One sentence that says what to do")
    request_id: str = Field(description="Also in the header x-request-id")


def new_api(*, title: str, description: str) -> FastAPI:
    """An app whose errors are problems, with `/openapi.json` and `/docs`; both slashes and none are the same path."""
    app = _Api(
        title=title,
        description=description,
        version=VERSION,
        redoc_url=None,
        # A JSON body is one whatever curl calls it.
        strict_content_type=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[],
    )
    app.add_middleware(BodyLimit)
    install_problem_handlers(app)
    for error in (DBAPIError, PoolTimeoutError, ConnectionError, TimeoutError):
        app.add_exception_handler(error, _answer_database_error)
    return app


class _Api(FastAPI):
    """Keeps the nulls of examples, which the framework drops from its document together with its own."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            for context in iter_route_contexts(self.routes):
                if isinstance(context.original_route, APIRoute):
                    _restore_examples(document["paths"].get(context.path_format, {}), context.original_route)
            for path in document["paths"].values():
                for operation in (path[method] for method in _METHODS if method in path):
                    if "requestBody" in operation:
                        _add_problems(operation["responses"], *_WITH_BODY)
        return super().openapi()


def _restore_examples(operations: dict[str, Any], route: APIRoute) -> None:
    for method in (route.methods or set()) & {name.upper() for name in operations}:
        documented = operations[method.lower()]["responses"]
        for status, response in route.responses.items():
            for media, content in response.get("content", {}).items():
                documented[str(status)]["content"][media].update(
                    {kind: content[kind] for kind in ("example", "examples") if kind in content}
                )


def problem_responses(*problems: tuple[int, str, str]) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: (status, code, message) of its own problems, and those that every route has."""
    responses: dict[str, dict[str, Any]] = {}
    _add_problems(responses, *sorted((*problems, *_ALWAYS), key=lambda problem: problem[0]))
    return {int(status): {"model": ProblemDocument, **response} for status, response in responses.items()}


def _add_problems(responses: dict[str, dict[str, Any]], *problems: tuple[int, str, str]) -> None:
    """Add each as an example of its status; `responses` as the document has them, by the status as text."""
    for status, code, message in problems:
        entry = responses.setdefault(str(status), {"content": {}})
        content = entry["content"].setdefault("application/json", {"schema": _PROBLEM, "examples": {}})
        value = {"code": code, "message": message, "request_id": "5f1d0c6f0a4b4f6f9a58c7f2b1d9e3a7"}
        content["examples"].setdefault(code, {"value": value})
        entry["description"] = " or ".join(f"`{code}`" for code in content["examples"])


async def _answer_database_error(request: Request, error: Exception) -> Response:
    if not is_transient(error):
        return await answer_unexpected(request, error)
    log.warning("database_unavailable", route=route_of(request), error=type(error).__name__)
    message = "The database is away; try again after the seconds in Retry-After."
    headers = {"retry-after": _RETRY_AFTER_SECONDS}
    return await answer_problem(request, Problem(503, "database_unavailable", message, headers=headers))
