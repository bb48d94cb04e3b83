"""Who may call what: every route of the three services with no key, an unknown one, a wrong one and the right one."""

from __future__ import annotations

import httpx
import pytest

from services.ingest.routes import ROUTE_BY_PATH
from services.runtime.access import Scope, generate_key
from tests.integration.guards.documents import SERVICES, Operation, document_of, operations_of
from tests.running_system import RunningSystem
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="package")

# The scope that each route needs. None: whoever knows the address may call it.
ROWS: dict[str, Scope | None] = {
    "POST /v1/batch": Scope.EVENTS_WRITE,
    "POST /v1/import": Scope.EVENTS_WRITE,
    "POST /v1/track": Scope.EVENTS_WRITE,
    "POST /v1/identify": Scope.EVENTS_WRITE,
    "POST /v1/group": Scope.EVENTS_WRITE,
    "POST /v1/page": Scope.EVENTS_WRITE,
    "POST /v1/screen": Scope.EVENTS_WRITE,
    "POST /v1/alias": Scope.EVENTS_WRITE,
    "POST /v1/events": Scope.EVENTS_WRITE,
    "POST /v1/b": Scope.EVENTS_WRITE,
    "POST /beacon/v1/batch": Scope.EVENTS_WRITE,
    "POST /v1/t": Scope.EVENTS_WRITE,
    "POST /v1/i": Scope.EVENTS_WRITE,
    "POST /v1/g": Scope.EVENTS_WRITE,
    "POST /v1/p": Scope.EVENTS_WRITE,
    "POST /v1/s": Scope.EVENTS_WRITE,
    "POST /v1/a": Scope.EVENTS_WRITE,
    "POST /batch": Scope.EVENTS_WRITE,
    "POST /capture": Scope.EVENTS_WRITE,
    "POST /e": Scope.EVENTS_WRITE,
    "POST /i/v0/e": Scope.EVENTS_WRITE,
    # The write key is in the path, or of no interest.
    "GET /v1/projects/{key}/settings": None,
    "GET /sourceConfig": None,
    "POST /v1/commands": Scope.ACCOUNTS_WRITE,
    "GET /v1/keys": Scope.ADMIN,
    "POST /v1/keys": Scope.ADMIN,
    "PATCH /v1/keys/{key_id}": Scope.ADMIN,
    "DELETE /v1/keys/{key_id}": Scope.ADMIN,
    "GET /v1/events": Scope.ACCOUNTS_READ,
    "GET /v1/accounts": Scope.ACCOUNTS_READ,
    "GET /v1/accounts/{account_id}": Scope.ACCOUNTS_READ,
    "GET /v1/accounts/{account_id}/explain": Scope.ACCOUNTS_READ,
    "GET /v1/accounts/{account_id}/timeline": Scope.ACCOUNTS_READ,
    "GET /v1/signals": Scope.ACCOUNTS_READ,
    "GET /v1/catalog": Scope.ACCOUNTS_READ,
    "GET /v1/insights/status": Scope.ACCOUNTS_READ,
    "GET /v1/insights/funnel": Scope.ACCOUNTS_READ,
    "GET /v1/insights/ttfv": Scope.ACCOUNTS_READ,
    "GET /v1/insights/adoption": Scope.ACCOUNTS_READ,
    "GET /v1/insights/obstacles": Scope.ACCOUNTS_READ,
    "GET /v1/insights/owners": Scope.ACCOUNTS_READ,
    "GET /v1/insights/surprises": Scope.ACCOUNTS_READ,
    "GET /v1/plans": Scope.ACCOUNTS_READ,
    "GET /v1/plans/{plan}": Scope.ACCOUNTS_READ,
    "GET /v1/plans/{plan}/versions/{version}": Scope.ACCOUNTS_READ,
    "PUT /v1/plans/{plan}": Scope.PLANS_WRITE,
    "DELETE /v1/plans/{plan}": Scope.PLANS_WRITE,
    "POST /v1/plans/{plan}/check": Scope.PLANS_WRITE,
    "GET /v1/jobs/{job_id}": Scope.PLANS_WRITE,
    "DELETE /v1/jobs/{job_id}": Scope.PLANS_WRITE,
    "GET /v1/partitions": Scope.ADMIN,
    "POST /v1/partitions/{part}/resume": Scope.ADMIN,
    "POST /v1/partitions/{part}/republish": Scope.ADMIN,
    "GET /v1/dead-letters": Scope.ADMIN,
    "POST /v1/dead-letters/{letter_id}/requeue": Scope.ADMIN,
    "POST /v1/audits": Scope.ADMIN,
    "GET /v1/endpoints": Scope.WEBHOOKS_READ,
    "GET /v1/endpoints/{endpoint_id}": Scope.WEBHOOKS_READ,
    "GET /v1/deliveries": Scope.WEBHOOKS_READ,
    "GET /v1/deliveries/{delivery_id}": Scope.WEBHOOKS_READ,
    "GET /v1/signal-types": Scope.WEBHOOKS_READ,
    "POST /v1/endpoints": Scope.WEBHOOKS_WRITE,
    "PATCH /v1/endpoints/{endpoint_id}": Scope.WEBHOOKS_WRITE,
    "DELETE /v1/endpoints/{endpoint_id}": Scope.WEBHOOKS_WRITE,
    "GET /v1/endpoints/{endpoint_id}/secret": Scope.WEBHOOKS_WRITE,
    "POST /v1/endpoints/{endpoint_id}/enable": Scope.WEBHOOKS_WRITE,
    "POST /v1/endpoints/{endpoint_id}/disable": Scope.WEBHOOKS_WRITE,
    "POST /v1/endpoints/{endpoint_id}/ping": Scope.WEBHOOKS_WRITE,
    "POST /v1/endpoints/{endpoint_id}/rotate": Scope.WEBHOOKS_WRITE,
    "POST /v1/endpoints/{endpoint_id}/send-example": Scope.WEBHOOKS_WRITE,
    "POST /v1/endpoints/{endpoint_id}/replay": Scope.WEBHOOKS_WRITE,
    "GET /v1/replays/{replay_id}": Scope.WEBHOOKS_READ,
    "DELETE /v1/replays/{replay_id}": Scope.WEBHOOKS_WRITE,
    "POST /v1/deliveries/{delivery_id}/retry": Scope.WEBHOOKS_WRITE,
}

_ANY_LIST = {"ingest": "/v1/keys", "engine": "/v1/accounts", "notifier": "/v1/endpoints"}


async def operations(system: RunningSystem, service: str) -> list[Operation]:
    """Those of a service, all with a row."""
    found = list(operations_of(service, await document_of(system, service)))
    for operation in found:
        assert operation.name in ROWS, (
            f'{service} has a new route: add the row "{operation.name}": <its scope> to ROWS in {__file__}'
        )
    return found


@pytest.fixture(scope="module")
def scoped() -> dict[str, str]:
    """Keys by their scopes, made when first asked for."""
    return {}


async def key_with(system: RunningSystem, keys: dict[str, str], scopes: set[Scope]) -> str:
    """A key with exactly these scopes, known to every service."""
    name = " ".join(sorted(scopes))
    if name not in keys:
        key = keys[name] = await system.new_key(scopes)
        for service in SERVICES:
            async with system.client(service, key=key) as http:

                async def known(http: httpx.AsyncClient = http) -> bool:
                    return (await http.get(_ANY_LIST[service])).status_code != 401  # noqa: B023

                await until(known)
    return keys[name]


async def ask(
    system: RunningSystem, operation: Operation, key: str | None, *, origin: str | None = None
) -> httpx.Response:
    """The documented example request with this key, from a page of `origin`."""
    request = operation.request()
    headers = {**request.pop("headers", {}), **({"origin": origin} if origin else {})}
    async with system.client(operation.service, key=key) as http:
        return await http.request(operation.method, operation.url, headers=headers, **request)


def check_refused(operation: Operation, answer: httpx.Response, status: int, code: str) -> None:
    """Refused with the one shape, for this reason."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), f"{operation.name}: {answer.text}"
    assert answer.json()["message"].endswith(".")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert ("www-authenticate" in answer.headers) == (status == 401), operation.name


@pytest.mark.parametrize("service", SERVICES)
async def test_every_route_asks_for_its_scope(system: RunningSystem, scoped: dict[str, str], service: str) -> None:
    """No key and an unknown one are 401, all scopes but the right one 403; the right scope alone is enough."""
    _, unknown = generate_key()
    for operation in await operations(system, service):
        scope = ROWS[operation.name]
        if scope is None:
            assert (await ask(system, operation, None)).status_code < 500
            continue
        check_refused(operation, await ask(system, operation, None), 401, "key_missing")
        for wrong in (unknown, "nonsense"):
            check_refused(operation, await ask(system, operation, wrong), 401, "key_unknown")
        others = await key_with(system, scoped, set(Scope) - {scope, Scope.ADMIN})
        check_refused(operation, await ask(system, operation, others), 403, "scope_missing")
        allowed = await ask(system, operation, await key_with(system, scoped, {scope}))
        assert allowed.status_code not in (401, 403), f"{operation.name}: {allowed.text}"
        assert allowed.status_code < 500, f"{operation.name}: {allowed.text}"


async def test_keys_of_products_write_events_and_nothing_else(system: RunningSystem, scoped: dict[str, str]) -> None:
    """They are in the hands of every program that reports usage: no such key reads, and none changes an account."""
    key = await key_with(system, scoped, {Scope.EVENTS_WRITE})
    for service in SERVICES:
        for operation in await operations(system, service):
            if ROWS[operation.name] not in (Scope.EVENTS_WRITE, None):
                check_refused(operation, await ask(system, operation, key), 403, "scope_missing")


async def test_keys_of_browsers_write_events_of_their_pages_and_nothing_else(system: RunningSystem) -> None:
    """Everybody can read such a key in a page's source: it works from that page's origin, for events alone."""
    async with system.client("ingest") as http:
        wanted = {"name": "page", "scopes": [Scope.EVENTS_WRITE], "origins": ["https://app.example.com"]}
        key = (await http.post("/v1/keys", json=wanted)).json()["key"]
        refused = await http.post("/v1/keys", json={**wanted, "scopes": [Scope.EVENTS_WRITE, Scope.ACCOUNTS_READ]})
        assert refused.status_code == 422
    for service in SERVICES:
        for operation in await operations(system, service):
            for origin in ("https://app.example.com", "https://elsewhere.example", None):
                answer = await ask(system, operation, key, origin=origin)
                if ROWS[operation.name] is Scope.EVENTS_WRITE and origin == "https://app.example.com":
                    assert answer.status_code == 200, f"{operation.name}: {answer.text}"
                elif ROWS[operation.name] is not None:
                    # Another service may not have heard of the key yet.
                    assert answer.status_code in (401, 403), f"{operation.name} from {origin}: {answer.text}"


async def test_rows_are_of_routes_that_exist(system: RunningSystem) -> None:
    """And the hot routes, which are answered in front of the framework, are all documented."""
    found = {operation.name for service in SERVICES for operation in await operations(system, service)}
    assert set(ROWS) - found == set()
    hot = {f"POST {path.rstrip('/')}" for path in ROUTE_BY_PATH}
    assert hot - found == set(), "document these routes, and give each a row in ROWS"


@pytest.mark.parametrize("service", SERVICES)
async def test_the_private_port_knows_no_other_routes(system: RunningSystem, service: str) -> None:
    """It needs no key, so it has nothing but probes and metrics."""
    async with httpx.AsyncClient(base_url=system.services[service].private_url) as http:
        assert [(await http.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
        for path in ("/openapi.json", _ANY_LIST[service], "/"):
            assert (await http.get(path)).status_code == 404
