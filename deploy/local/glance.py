"""How the stack does, at one glance: health, lag and counts, each asked of the service that knows."""

import http.client
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from deploy.local.loopback_http import request

_TIMEOUT_SECONDS = 3.0
_PLANS_SHOWN = 5


class Glance:
    """Asks a running stack; what does not answer is None."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._connection = connection
        self._services = [name for name in ("ingest", "engine", "notifier") if name in connection]

    def look(self) -> dict[str, Any]:
        """`services` (failing checks by name), `partitions`, `events`, `accounts` by plan and status, `endpoints`."""
        return {
            "services": {name: self._failing(name) for name in self._services},
            "partitions": self._partitions(),
            "events": self._events(),
            "accounts": self._accounts(),
            "endpoints": self._endpoints(),
        }

    def _failing(self, service: str) -> list[str] | None:
        """The checks that fail; None when nobody answers."""
        url = self._connection[service]["metrics"].removesuffix("/metrics")
        answer = self._json(f"{url}/readyz", authorized=False)
        return None if answer is None else [name for name, passed in answer["checks"].items() if not passed]

    def _partitions(self) -> dict[str, Any] | None:
        rows = self._rows("engine", "/v1/partitions")
        if rows is None:
            return None
        behind = [row["behind_seconds"] for row in rows if row["behind_seconds"] is not None]
        return {**Counter(row["state"] for row in rows), "behind_seconds": max(behind, default=None)}

    def _events(self) -> dict[str, int] | None:
        rows = self._rows("engine", "/v1/catalog?limit=500")
        return None if rows is None else {"names": len(rows), "count": sum(row["count"] for row in rows)}

    def _accounts(self) -> dict[str, dict[str, int]] | None:
        plans = self._rows("engine", "/v1/plans")
        if plans is None:
            return None
        counts = {}
        for plan in [row["plan"] for row in plans if row["live"]][:_PLANS_SHOWN]:
            answer = self._ask("engine", f"/v1/insights/status?plan={plan}")
            statuses = {} if answer is None else answer["total"]["statuses"]
            counts[plan] = {status: count for status, count in statuses.items() if count}
        return counts

    def _endpoints(self) -> dict[str, int] | None:
        rows = self._rows("notifier", "/v1/endpoints?limit=200")
        return None if rows is None else dict(Counter(row["status"] for row in rows))

    def _rows(self, service: str, path: str) -> list[dict[str, Any]] | None:
        answer = self._ask(service, path)
        return None if answer is None else answer["data"]

    def _ask(self, service: str, path: str) -> Any:
        if service not in self._services:
            return None
        return self._json(self._connection[service]["url"] + path, authorized=True)

    def _json(self, url: str, *, authorized: bool) -> Any:
        headers = {"authorization": f"Bearer {self._connection['admin_key']}"} if authorized else {}
        try:
            status, body = request("GET", url, headers=headers, timeout_seconds=_TIMEOUT_SECONDS)
            # A service that is not ready answers 503 and says why.
            return json.loads(body) if status == http.HTTPStatus.OK or not authorized else None
        except (OSError, ValueError, http.client.HTTPException):
            return None


def lines_of(look: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, how it is) for people."""
    lines = [(name, _health(failing)) for name, failing in look["services"].items()]
    partitions = look["partitions"]
    if partitions is not None:
        behind = partitions["behind_seconds"]
        states = _counts({name: count for name, count in partitions.items() if name != "behind_seconds"})
        lines.append(("partitions", states + ("" if behind is None else f", {behind:.1f} s behind at most")))
    if look["events"] is not None:
        lines.append(("events", f"{look['events']['count']} applied, with {look['events']['names']} names"))
    if look["accounts"] is not None:
        lines += [(f"plan {plan}", _counts(counts) or "no accounts") for plan, counts in look["accounts"].items()]
        lines += [] if look["accounts"] else [("plans", "none is live")]
    if look["endpoints"] is not None:
        lines.append(("endpoints", _counts(look["endpoints"]) or "none"))
    return lines


def _health(failing: list[str] | None) -> str:
    if failing is None:
        return "does not answer"
    return f"not ready: {', '.join(failing)}" if failing else "ready"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
