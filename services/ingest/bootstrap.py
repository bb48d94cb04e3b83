"""What the browser SDKs fetch before they send anything: the settings of a source, of which it has hardly any."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from services.ingest.credentials import FoundKey, key_of_request
from services.ingest.origins import KEY_IN_ADDRESS, ORIGIN_NOT_ALLOWED, check_key_in_address, check_origin
from services.runtime.access import Principal, Scope
from services.runtime.api import problem_responses
from services.runtime.key_ring import KeyRing

# A page that is open for long need not ask again; a key that is revoked is refused when it sends.
_CACHE = "private, max-age=300"
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
_SETTINGS_EXAMPLE: dict[str, Any] = {
    "integrations": {"Segment.io": {"apiKey": "<key>", "apiHost": "ingest.vendor.example/v1", "protocol": "https"}},
    "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
    "analyticsNextEnabled": True,
}
_SOURCE_EXAMPLE: dict[str, Any] = {
    "source": {"id": "k7f3a2qwmz4tc", "name": "product", "writeKey": "<key>", "enabled": True, "destinations": []}
}


def bootstrap_routes(*, ring: KeyRing) -> APIRouter:
    """`/v1/projects/{key}/settings` for analytics-next and `/sourceConfig` for RudderStack's browser SDK."""
    router = APIRouter(tags=["browser"])
    problems = problem_responses(KEY_IN_ADDRESS, ORIGIN_NOT_ALLOWED)

    @router.get("/v1/projects/{key}/settings", responses={**problems, 200: _example(_SETTINGS_EXAMPLE)})
    async def segment_settings(key: str, request: Request, response: Response) -> dict[str, Any]:
        """Settings for Segment's browser SDK, whose `cdnURL` is this service; the key is the write key itself."""
        await _authenticate(ring, FoundKey(key, in_address=True), request.headers)
        response.headers["cache-control"] = _CACHE
        return {
            "integrations": {"Segment.io": _segment(key, request)},
            "plan": {
                "track": {"__default": {"enabled": True, "integrations": {}}},
                "identify": {"__default": {"enabled": True}},
                "group": {"__default": {"enabled": True}},
            },
            "edgeFunction": {},
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "remotePlugins": [],
            "metrics": {"sampleRate": 0},
            "legacyVideoPluginsEnabled": False,
            "analyticsNextEnabled": True,
        }

    @router.get("/sourceConfig", responses={**problems, 200: _example(_SOURCE_EXAMPLE)})
    @router.get("/sourceConfig/", include_in_schema=False)
    async def rudder_source(request: Request, response: Response) -> dict[str, Any]:
        """The source for RudderStack's browser SDK, whose `configUrl` is this service."""
        raw = {name.encode(): value.encode("latin-1") for name, value in request.headers.items()}
        found = key_of_request(raw, request.scope["query_string"])
        principal = await _authenticate(ring, found, request.headers)
        response.headers["cache-control"] = _CACHE
        off = {"enabled": False}
        source: dict[str, Any] = {
            "id": principal.key_id,
            "name": principal.name,
            "writeKey": found.key,
            "workspaceId": "firstvalue",
            "enabled": True,
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "connections": [],
            "destinations": [],
            "dataplanes": {},
            "updatedAt": _EPOCH,
        }
        return {"source": source, "updatedAt": _EPOCH}

    return router


async def _authenticate(ring: KeyRing, found: FoundKey, headers: Headers) -> Principal:
    """Who asks. Without an origin no page is refused: those of the service's own origin name none when they read."""
    principal = await ring.authenticate(found.key, Scope.EVENTS_WRITE)
    if found.in_address:
        check_key_in_address(principal)
    if (origin := headers.get("origin")) is not None:
        check_origin(principal, origin)
    return principal


def _segment(key: str, request: Request) -> dict[str, Any]:
    """Where events go: to where the settings came from, as the page sees it."""
    protocol = request.headers.get("x-forwarded-proto", request.url.scheme).partition(",")[0].strip()
    return {
        "apiKey": key,
        "apiHost": f"{request.headers.get('host', request.url.netloc)}/v1",
        "protocol": protocol if protocol in ("http", "https") else "https",
        "addBundledMetadata": True,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {},
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
    }


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"description": "What the SDK starts with", "content": {"application/json": {"example": value}}}
