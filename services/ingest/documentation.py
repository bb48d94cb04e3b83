"""OpenAPI of the hot routes, which FastAPI does not answer and so cannot know: with an example of each."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import msgspec
from fastapi import FastAPI

from schemas.commands import COMMANDS, AnyCommand
from services.ingest.answers import BROKER_UNAVAILABLE
from services.ingest.origins import KEY_IN_ADDRESS, ORIGIN_NOT_ALLOWED
from services.ingest.routes import HOT_ROUTES, Form, Route
from services.runtime.api import problem_responses
from services.runtime.body_limit import OVERLOADED
from services.runtime.problems import DRAINING

_PERSON = {"userId": "u-17", "timestamp": "2026-11-20T09:59:58.500Z", "messageId": "msg-91aa"}
_IN_ACCOUNT = {"context": {"groupId": "acme"}}
_SINGLE_EXAMPLES: dict[str, dict[str, Any]] = {
    "track": {**_PERSON, "event": "Report Generated", "properties": {"rows": 120}, **_IN_ACCOUNT},
    "identify": {**_PERSON, "traits": {"email": "kim@acme.example", "role": "champion"}, **_IN_ACCOUNT},
    "group": {**_PERSON, "groupId": "acme", "traits": {"name": "Acme", "segment": "smb"}},
    "page": {**_PERSON, "name": "Dashboard", **_IN_ACCOUNT},
    "screen": {**_PERSON, "name": "Dashboard", **_IN_ACCOUNT},
    "alias": {**_PERSON, "previousId": "anonymous-3f", **_IN_ACCOUNT},
}
_BATCH_EXAMPLE = {
    "sentAt": "2026-11-20T10:00:00Z",
    "batch": [{"type": type_, **_SINGLE_EXAMPLES[type_]} for type_ in ("group", "track")],
}
_POSTHOG_CALL = {
    "event": "Report Generated",
    "distinct_id": "u-17",
    "uuid": "0199d3a2-7a1e-7c55-9f5e-2d4f4d2b8a10",
    "timestamp": "2026-11-20T09:59:58.500Z",
    "properties": {"rows": 120, "$groups": {"company": "acme"}},
}
_POSTHOG_EVENT = {"api_key": "<key>", **_POSTHOG_CALL}
_POSTHOG_BATCH = {"api_key": "<key>", "batch": [_POSTHOG_CALL], "sent_at": "2026-11-20T10:00:00Z"}
_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "9f2c",
    "source": "/reports",
    "type": "report.generated",
    "subject": "acme",
    "time": "2026-11-20T09:59:58.500Z",
    "userid": "u-17",
    "data": {"rows": 120},
}
_REJECTION = {
    "index": 1,
    "message_id": "msg-91ab",
    "code": "account_missing",
    "message": "Say whose event it is: context.groupId, properties.account_id, or the groupId of a group call.",
}
_TAKEN = {"success": True, "accepted": 1, "rejected": 1, "errors": [_REJECTION]}
_PROBLEMS = (
    (400, "batch_empty", "Put at least one event into the batch."),
    (400, "body_not_json", "Send one valid JSON document: its end is missing."),
    (400, "compression_invalid", "Send the compressed data to its end; it is cut off."),
    (400, "events_rejected", "Correct the events; each was rejected for the reason in `errors`."),
    (401, "keys_differ", "Send one API key, not different ones in several places."),
    KEY_IN_ADDRESS,
    ORIGIN_NOT_ALLOWED,
    (408, "request_too_slow", "Send the headers within 10 s and the body within 30 s."),
    (413, "body_too_large", "Keep the body within 5242880 bytes, also when inflated."),
    (413, "context_too_large", "Keep the batch within 5242880 bytes, its `context` counted once for each event."),
    (413, "too_many_events", "Send at most 1000 events in one batch."),
    (415, "charset_unsupported", "Send UTF-8, not UTF-16 or UTF-32."),
    (415, "encoding_unsupported", "Compress with gzip or deflate, or not at all."),
    (429, "quota_exceeded", "This key is over its quota; go on in 2 s."),
    BROKER_UNAVAILABLE,
    OVERLOADED,
    DRAINING,
)
_OBJECT = {"type": "object"}
_COMPONENT = "#/components/schemas/{name}"
_ANY_COMMAND = {"anyOf": [{"$ref": _COMPONENT.format(name=kind.__name__)} for kind in COMMANDS.values()]}
_DESCRIPTION = {
    Form.SEGMENT_BATCH: "Up to 1,000 events in the Segment shape, gzip or deflate welcome. Each stands alone: 200 "
    "means that Kafka has every accepted one, and `errors` says why the others were rejected. The key comes as Basic "
    "user, Bearer, `X-Write-Key`, `writeKey` in the body, or `?writeKey=` for a browser key.",
    Form.SEGMENT_CALL: "One event in the Segment shape; 200 means that Kafka has it.",
    Form.POSTHOG: "What PostHog's server SDKs send: a batch, an array, or one event, with the key as `api_key` or "
    "`token`. The group of the configured type (`company`) is the account; `$groupidentify` sets its traits.",
    Form.CLOUDEVENTS: "CloudEvents 1.0 in binary, structured and batched mode. `type` is the event's name; the account "
    "is `account_id` in the data, else `partitionkey`, else `subject`; the person is the extension `userid`, else "
    "`authid` where `authtype` is `user`, else `user_id` in the data. `source` and `id` together name an event.",
    Form.COMMANDS: "Change accounts: one command, an array, or one per line. `position` can be given to the engine as "
    "`?after=` to wait until the commands are applied. `erase` and `erase_person` need a key with the scope `admin`: "
    "with another key, a request that holds one is refused as a whole.",
}


def describe_hot_routes(api: FastAPI) -> None:
    """Have `api`'s OpenAPI document list the routes that are answered in front of it."""
    of_the_rest = api.openapi

    def whole() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = of_the_rest()
            for route in HOT_ROUTES:
                document["paths"].setdefault(route.path, {})["post"] = _operation(route)
            document["components"]["schemas"].update(_command_schemas())
            api.openapi_schema = document
        return api.openapi_schema

    # FastAPI's documented way to extend the document.
    api.openapi = whole  # type: ignore[method-assign]


def _operation(route: Route) -> dict[str, Any]:
    answer = {**_TAKEN, "position": "eyIzIjo0Mn0"} if route.form is Form.COMMANDS else _TAKEN
    words = route.path.strip("/").replace("/", " ")
    return {
        "tags": ["commands" if route.form is Form.COMMANDS else "events"],
        "summary": words.removeprefix("v1 ").capitalize(),
        "description": _DESCRIPTION[route.form],
        "operationId": f"post_{words.removeprefix('v1 ').replace(' ', '_')}"
        if "v1" in words
        else f"post_posthog_{words}",
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": _body(route)},
        "responses": {"200": {"description": "Taken", "content": _content(answer)}, **_problems()},
    }


def _problems() -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, response in problem_responses(*_PROBLEMS).items():
        if status == 422:
            continue
        examples = response["content"]["application/json"]["examples"]
        examples.pop("database_unavailable", None)
        schema = {"$ref": "#/components/schemas/ProblemDocument"}
        codes = " or ".join(f"`{code}`" for code in examples)
        responses[str(status)] = {
            "description": codes,
            "content": {"application/json": {"schema": schema, "examples": examples}},
        }
    return responses


def _body(route: Route) -> dict[str, Any]:
    match route.form:
        case Form.COMMANDS:
            return {"application/json": {"schema": _one_or_more(_ANY_COMMAND), "examples": _command_examples()}}
        case Form.CLOUDEVENTS:
            single = {"schema": _OBJECT, "example": _CLOUD_EVENT}
            batch = {"schema": {"type": "array", "items": _OBJECT}, "example": [_CLOUD_EVENT]}
            return {"application/cloudevents+json": single, "application/cloudevents-batch+json": batch}
        case Form.POSTHOG:
            return _content(_POSTHOG_BATCH if route.path == "/batch" else _POSTHOG_EVENT)
        case _:
            return _content(_BATCH_EXAMPLE if route.type is None else _SINGLE_EXAMPLES[route.type])


def _command_schemas() -> dict[str, Any]:
    """Each command's own schema, by the names that the document refers to."""
    _, components = msgspec.json.schema_components([AnyCommand], ref_template=_COMPONENT)
    return components


def _command_examples() -> dict[str, Any]:
    folder = files("schemas") / "examples" / "command"
    return {
        name: {"summary": kind.__doc__, "value": json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))}
        for name, kind in COMMANDS.items()
    }


def _one_or_more(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "array", "items": schema}]}


def _content(example: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": _OBJECT, "example": example}}
