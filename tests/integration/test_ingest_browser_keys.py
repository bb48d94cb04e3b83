"""Keys that everybody can read, because pages hold them: from their origins alone, and only to write events."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from services.ingest.routes import HOT_ROUTES, Form
from tests.integration.ingest_process import IngestProcess

PAGE = "https://app.acme.example"
OTHER = "https://other.example"
TRACK: dict[str, Any] = {"event": "Report Generated", "userId": "kim", "context": {"groupId": "acme"}}


@pytest.fixture(scope="module")
def browser_key(service: IngestProcess) -> str:
    """A key for the pages of one origin."""
    return created(service, origins=[PAGE + "/"])


def created(service: IngestProcess, **fields: Any) -> str:
    """A new key."""
    answer = service.post("/v1/keys", {"name": "web", "scopes": ["events:write"], **fields})
    assert answer.status_code == 201, answer.text
    assert answer.json()["origins"] == [origin.rstrip("/") for origin in fields.get("origins", [])]
    return str(answer.json()["key"])


def test_a_browser_key_writes_from_its_pages_and_is_told_the_answer(service: IngestProcess, browser_key: str) -> None:
    """In the body or in the address; from elsewhere, and from nowhere, it is refused."""
    here, there = {"origin": PAGE}, {"origin": OTHER}
    for path, body in (("/v1/t", {**TRACK, "writeKey": browser_key}), (f"/v1/t?writeKey={browser_key}", TRACK)):
        taken = service.post(path, body, key=None, headers=here)
        assert taken.status_code == 200, taken.text
        assert taken.headers["access-control-allow-origin"] == PAGE
        assert "retry-after" in taken.headers["access-control-expose-headers"]
        assert taken.headers["vary"] == "origin"
        for headers in (there, {}):
            refused = service.post(path, body, key=None, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
            assert "access-control-allow-origin" not in refused.headers


def test_every_path_of_its_sdks_takes_a_browser_key_in_the_address(service: IngestProcess, browser_key: str) -> None:
    """`navigator.sendBeacon` sets no header, whichever call it sends."""
    event = {**TRACK, "type": "track", "groupId": "acme", "previousId": "anonymous-1"}
    paths = {route.path: route.form for route in HOT_ROUTES if route.form in (Form.SEGMENT_BATCH, Form.SEGMENT_CALL)}
    assert len(paths) > 12
    for path, form in paths.items():
        body = {"batch": [event]} if form is Form.SEGMENT_BATCH else event
        for slash in ("", "/"):
            taken = service.post(f"{path}{slash}?writeKey={browser_key}", body, key=None, headers={"origin": PAGE})
            assert (taken.status_code, taken.json().get("accepted")) == (200, 1), (path, taken.text)


def test_a_browser_key_does_nothing_else(service: IngestProcess, browser_key: str) -> None:
    """No commands, no keys; and none is created that could."""
    for path in ("/v1/commands", "/v1/keys"):
        assert service.post(path, {}, key=browser_key, headers={"origin": PAGE}).status_code == 403
    wide = service.post("/v1/keys", {"name": "web", "scopes": ["events:write", "accounts:write"], "origins": [PAGE]})
    assert (wide.status_code, wide.json()["code"]) == (422, "invalid_request")


def test_a_server_s_key_does_not_stand_in_the_address(service: IngestProcess) -> None:
    """Where every proxy would log it; in a header it may ask for what browser SDKs start with."""
    key = created(service)
    for answer in (
        service.post(f"/v1/t?writeKey={key}", TRACK, key=None),
        httpx.get(f"{service.url}/v1/projects/{key}/settings"),
        httpx.get(f"{service.url}/sourceConfig", params={"writeKey": key}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "key_in_address")
    assert httpx.get(f"{service.url}/sourceConfig", auth=(key, "")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/t", "/v1/batch/", "/batch", "/v1/events", "/v1/projects/k/settings", "/sourceConfig"]
)
def test_preflights_are_answered_by_the_lists_of_all_keys(service: IngestProcess, browser_key: str, path: str) -> None:
    """They name no key; a page that no key allows is told nothing."""
    assert browser_key
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,anonymousid"}
    here = httpx.options(service.url + path, headers={"origin": PAGE, **asked})
    assert here.status_code == 204
    assert here.headers["access-control-allow-origin"] == PAGE
    assert here.headers["access-control-allow-headers"] == "authorization,anonymousid"
    there = httpx.options(service.url + path, headers={"origin": OTHER, **asked})
    assert there.status_code == 204
    assert not [name for name in there.headers if name.startswith("access-control")]


def test_browser_sdks_get_what_they_start_with(service: IngestProcess, browser_key: str) -> None:
    """The settings of analytics-next and the source of RudderStack, readable for the page; a proxy's address."""
    here = {"origin": PAGE}
    settings = httpx.get(f"{service.url}/v1/projects/{browser_key}/settings", headers=here)
    assert settings.headers["access-control-allow-origin"] == PAGE
    segment = settings.json()["integrations"]["Segment.io"]
    host = service.url.removeprefix("http://")
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == (browser_key, f"{host}/v1", "http")
    proxied = {**here, "host": "ingest.vendor.example", "x-forwarded-proto": "https, http"}
    settings = httpx.get(f"{service.url}/v1/projects/{browser_key}/settings", headers=proxied)
    segment = settings.json()["integrations"]["Segment.io"]
    assert (segment["apiHost"], segment["protocol"]) == ("ingest.vendor.example/v1", "https")
    basic = httpx.get(service.url + "/sourceConfig/", headers=here, auth=(browser_key, ""))
    named = httpx.get(service.url + "/sourceConfig", params={"writeKey": browser_key})
    for answer in (basic, named):
        assert answer.json()["source"]["enabled"] is True
        assert answer.json()["source"]["writeKey"] == browser_key
    refused = httpx.get(f"{service.url}/v1/projects/fv_wrong/settings", headers=here)
    assert (refused.status_code, refused.json()["code"]) == (401, "key_unknown")
    assert refused.headers["access-control-allow-origin"] == PAGE
    elsewhere = httpx.get(f"{service.url}/v1/projects/{browser_key}/settings", headers={"origin": OTHER})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "origin_not_allowed")
