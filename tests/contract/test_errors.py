"""Errors of the three services have one shape, in documents and in answers; and no request needs a thread."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from inspect import iscoroutinefunction
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from services.activation_engine.api import new_engine_api
from services.ingest.api import new_ingest_api
from services.ingest.debugger.routes import DebuggerParts
from services.ingest.debugger.tails import TopicTails
from services.ingest.key_store import KeyStore
from services.notifier.api import NotifierApiParts, new_notifier_api
from services.notifier.api.vetting import EndpointVetting
from services.notifier.domain.addresses import AddressRules
from services.notifier.secret_box import SecretBox
from services.notifier.sender.resolver import Resolver
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.endpoint_keys import EndpointKeys
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.replays import ReplayStore
from services.runtime.key_ring import KeyRing
from services.runtime.postgres import connect
from tests.fakes.operations import operations_over

# Never asked: nothing listens there.
NOWHERE = connect("postgresql://nobody@127.0.0.1:1/nothing", service="test")
KEYS = KeyRing(NOWHERE, admin_key="k", pepper="")


def notifier_api() -> FastAPI:
    """The notifier's app."""
    endpoints = EndpointStore(NOWHERE, SecretBox(bytes(32)))
    vetting = EndpointVetting(
        rules=AddressRules(),
        ports=frozenset({443}),
        resolver=Resolver(timeout_seconds=1),
        knows_time_zone=endpoints.knows_time_zone,
    )
    return new_notifier_api(
        NotifierApiParts(
            keys=KEYS,
            endpoints=endpoints,
            signing=EndpointKeys(NOWHERE, SecretBox(bytes(32))),
            deliveries=DeliveryStore(NOWHERE),
            replays=ReplayStore(NOWHERE),
            vetting=vetting,
            wake=lambda: None,
        )
    )


DEBUGGER = DebuggerParts(
    tails=TopicTails(bootstrap_servers="127.0.0.1:1"),
    database=NOWHERE,
    prefix="",
    partitions=1,
    available=lambda: False,
)
APPS = {
    "ingest": new_ingest_api(ring=KEYS, keys=KeyStore(NOWHERE), pepper="", debugger=DEBUGGER),
    "engine": new_engine_api(reads=NOWHERE, keys=KEYS, partitions=lambda: 1, operations=operations_over(NOWHERE)),
    "notifier": notifier_api(),
}


def documented_errors() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every documented answer that is an error: service, operation and status, answer."""
    for service, app in APPS.items():
        for path, operations in app.openapi()["paths"].items():
            for method, operation in operations.items():
                for status, response in operation["responses"].items():
                    if status >= "400":
                        yield service, f"{method.upper()} {path} {status}", response


@pytest.mark.parametrize("service", APPS)
def test_documented_errors_have_the_one_shape(service: str) -> None:
    """Each documented error is a problem whose examples have a stable code and say what to do."""
    found = [(name, response) for owner, name, response in documented_errors() if owner == service]
    assert found
    for name, response in found:
        content = response["content"]["application/json"]
        assert content["schema"]["$ref"].endswith("/ProblemDocument"), name
        assert content["examples"], name
        for code, example in content["examples"].items():
            assert re.fullmatch("[a-z][a-z0-9_]+", code), name
            assert example["value"]["code"] == code, name
            assert example["value"]["message"].endswith("."), name
            assert example["value"]["request_id"], name
            # Who is refused for now is told when to come back, in words too.
            assert not name.endswith(("429", "503")) or re.search(r"Retry-After|in \d+ s", example["value"]["message"])


def called(dependant: Dependant) -> Iterator[Any]:
    """A route's function, or a dependency's, with all that it depends on."""
    yield dependant.call
    for one in dependant.dependencies:
        yield from called(one)


@pytest.mark.parametrize("service", APPS)
def test_nothing_of_a_request_runs_in_a_thread(service: str) -> None:
    """A plain function would: a hop that costs as much as the rest of a read and, under load, waits for its turn."""
    routes = [context.original_route for context in iter_route_contexts(APPS[service].routes)]
    functions = [one for route in routes if isinstance(route, APIRoute) for one in called(route.dependant)]
    assert functions
    plain = [one for one in functions if not iscoroutinefunction(one) and not iscoroutinefunction(type(one).__call__)]
    assert plain == []


@pytest.mark.parametrize("service", APPS)
def test_every_reference_leads_somewhere(service: str) -> None:
    """Schemas that are added by hand are where the document says."""
    document = APPS[service].openapi()
    wanted = set(re.findall('"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert wanted
    assert wanted <= set(document["components"]["schemas"])


@pytest.mark.parametrize("service", APPS)
def test_every_operation_is_explained(service: str) -> None:
    """A summary, a description, an example of each answer: the document can be read instead of the source."""
    document = APPS[service].openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            assert operation.get("summary"), name
            assert operation.get("description"), name
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values() if status < "300" else ():
                    schema = content["schema"].get("$ref", "").rpartition("/")[2]
                    shown = {**document["components"]["schemas"].get(schema, {}), **content}
                    assert {"example", "examples"} & shown.keys(), name


@pytest.mark.parametrize("service", APPS)
@pytest.mark.parametrize(
    ("method", "path", "key", "status", "code"),
    [
        ("GET", "/nothing/here", "k", 404, "not_found"),
        ("DELETE", "/openapi.json", "k", 405, "method_not_allowed"),
        ("GET", "{list}", "", 401, "key_missing"),
        ("GET", "{list}", "wrong", 401, "key_unknown"),
        ("GET", "{list}?limit=0", "k", 422, "invalid_request"),
        ("GET", "{list}?lmit=1&limit=1", "k", 422, "invalid_request"),
        ("GET", "{list}?cursor=!", "k", 400, "cursor_invalid"),
        ("GET", "{list}", "k", 503, "database_unavailable"),
    ],
)
async def test_answered_errors_have_the_one_shape(
    service: str, method: str, path: str, key: str, status: int, code: str
) -> None:
    """Code, message and request id at the top, the id in the header too, `Retry-After` with 503, no stock error."""
    lists = {"ingest": "/v1/keys", "engine": "/v1/accounts", "notifier": "/v1/endpoints"}
    transport = httpx.ASGITransport(app=APPS[service])
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
        answer = await client.request(method, path.format(list=lists[service]))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert problem["message"].endswith(".")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "detail" not in problem
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_an_unknown_query_parameter_is_named() -> None:
    """With those that there are, whether the route itself takes them or what it depends on."""
    transport = httpx.ASGITransport(app=APPS["engine"])
    async with httpx.AsyncClient(
        transport=transport, base_url="http://service", headers={"authorization": "Bearer k"}
    ) as client:
        answer = await client.get("/v1/insights/ttfv?form=2026-11-01&by=owner")
        assert answer.json()["message"] == (
            "Correct query.form: this address has no such parameter; it takes by, owner, plan, segment, started_from, "
            "started_to."
        )
        assert (await client.get("/v1/accounts/acme?explain=1")).status_code == 422
        assert (await client.get("/v1/partitions?a=1")).json()["message"].endswith("it takes none.")
