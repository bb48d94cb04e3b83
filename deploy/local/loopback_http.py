"""Requests to the stack's own services: straight to 127.0.0.1, whatever proxy the environment names."""

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

_PROBE_TIMEOUT_SECONDS = 2.0


def request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float,
) -> tuple[int, bytes]:
    """The status code and the body of the answer; raises OSError or http.client.HTTPException when there is none."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_seconds)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answers_ok(url: str) -> bool:
    """True when a GET is answered 200; False for any other answer, and for none within two seconds."""
    try:
        status, _ = request("GET", url, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException):
        return False
    return status == http.HTTPStatus.OK
