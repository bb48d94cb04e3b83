"""The demo's calls to the three services, over HTTP like anybody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

_TIMEOUT_SECONDS = 15.0


class DemoRefused(Exception):
    """A service refused a request of the demo, or did not answer; the message says which and why."""


class ServicesClient:
    """Speaks with the stack that `firstvalue up --json` describes; an async context manager."""

    def __init__(self, stack: Mapping[str, Any]) -> None:
        self._ingest, self._engine, self._notifier = (stack[name]["url"] for name in ("ingest", "engine", "notifier"))
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {stack['admin_key']}"}, timeout=_TIMEOUT_SECONDS, trust_env=False
        )

    async def __aenter__(self) -> ServicesClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def new_write_key(self) -> str:
        """A key that may only send events."""
        answer = await self._call(
            "POST", f"{self._ingest}/v1/keys", json={"name": "demo product", "scopes": ["events:write"]}
        )
        return str(answer["key"])

    async def publish(self, plan_id: str, text: str) -> int:
        """Publishes a plan and returns its version; every event accepted from now on is judged by it."""
        headers = {"content-type": "application/yaml"}
        answer = await self._call("PUT", f"{self._engine}/v1/plans/{plan_id}", content=text, headers=headers)
        if not answer["live"]:
            raise DemoRefused(f"the engine did not take up the plan {plan_id} within 10 s")
        return int(answer["version"])

    async def subscribe(self, url: str, types: Sequence[str]) -> str:
        """Registers a webhook and returns the secret that signs its requests."""
        answer = await self._call("POST", f"{self._notifier}/v1/endpoints", json={"url": url, "types": list(types)})
        return str(answer["secret"])

    async def command(self, command: dict[str, Any]) -> None:
        """Sends one command about an account."""
        await self._call("POST", f"{self._ingest}/v1/commands", json=command)

    async def accounts(self) -> list[dict[str, Any]]:
        """Every account, as the engine's read API lists it."""
        rows: list[dict[str, Any]] = []
        parameters: dict[str, str] = {"limit": "100"}
        while True:
            answer = await self._call("GET", f"{self._engine}/v1/accounts", params=parameters)
            rows += answer["data"]
            if not answer["next"]:
                return rows
            parameters["cursor"] = answer["next"]

    async def _call(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        try:
            response = await self._http.request(method, url, **request)
        except httpx.HTTPError as error:
            raise DemoRefused(f"{method} {url} failed: {error!r}") from error
        if response.is_error:
            raise DemoRefused(f"{method} {url} answered {response.status_code}: {response.text[:500]}")
        answer: dict[str, Any] = response.json()
        return answer
