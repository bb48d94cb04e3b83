"""Sends with one published Python SDK, as a program: python -m tests.clients.python_clients '{"sdk", "jobs"}'.

Jobs are those of node_clients.mjs; prints one line of JSON, what each job was told of errors.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Protocol

import rudderstack.analytics.client as rudder
import segment.analytics.client as segment
from posthog import Posthog

TIMEOUT_SECONDS = 1.5
NAME = "Report Generated"
PROPERTIES = {"rows": 120, "city": "Köln"}
USER = "kim"

Failed = Callable[..., Any]


class Sender(Protocol):
    """One SDK with one job's settings."""

    def about(self) -> None:
        """Say who the account and the person are."""

    def track(self, message_id: str, at: datetime) -> None:
        """One event."""

    def close(self) -> None:
        """Return when all is sent or given up."""


class SegmentLike:
    """segment-analytics-python and rudder-sdk-python, which are called alike."""

    def __init__(self, client: Any, account: str) -> None:
        self._client = client
        self._account = account

    def about(self) -> None:
        """A group call and an identify call."""
        self._client.group(USER, self._account, {"segment": "smb"})
        self._client.identify(USER, {"role": "champion"}, context={"groupId": self._account})

    def track(self, message_id: str, at: datetime) -> None:
        """With the account in the context."""
        self._client.track(
            USER, NAME, PROPERTIES, context={"groupId": self._account}, timestamp=at, message_id=message_id
        )

    def close(self) -> None:
        """Its own way to end."""
        self._client.shutdown()


class OfPosthog:
    """posthog, whose accounts are groups."""

    def __init__(self, client: Posthog, account: str) -> None:
        self._client = client
        self._account = account

    def about(self) -> None:
        """The account is a group of the type `company`."""
        self._client.group_identify("company", self._account, {"segment": "smb"})
        self._client.set(distinct_id=USER, properties={"role": "champion"})

    def track(self, message_id: str, at: datetime) -> None:
        """With the account among the groups."""
        self._client.capture(
            NAME,
            distinct_id=USER,
            properties=PROPERTIES,
            groups={"company": self._account},
            timestamp=at,
            uuid=message_id,
        )

    def close(self) -> None:
        """Its own way to end."""
        self._client.shutdown()


def new_sender(sdk: str, job: dict[str, Any], failed: Failed) -> Sender:
    """The SDK as a customer would make it, but quick to give up."""
    host, key, account, patience = job["host"], job["key"], job["account"], bool(job.get("patience"))
    retries = 12 if patience else 3
    match sdk:
        case "segment-analytics-python":
            made: Any = segment.Client(
                key, host=host, timeout=TIMEOUT_SECONDS, max_retries=retries, upload_interval=0.05, on_error=failed
            )
            return SegmentLike(made, account)
        case "rudder-sdk-python":
            made = rudder.Client(
                key, host=host, timeout=TIMEOUT_SECONDS, max_retries=retries, upload_interval=0.05, on_error=failed
            )
            return SegmentLike(made, account)
        case "posthog":
            made = Posthog(
                key, host=host, timeout=TIMEOUT_SECONDS, max_retries=retries, flush_interval=0.05, on_error=failed
            )
            return OfPosthog(made, account)
    raise ValueError(sdk)


def run(sdk: str, job: dict[str, Any]) -> dict[str, Any]:
    """Send a job's events; its account and errors."""
    errors: list[str] = []
    sender = new_sender(sdk, job, lambda error, _items: errors.append(str(error)))
    if job.get("about"):
        sender.about()
    for event in job["events"]:
        sender.track(event["id"], datetime.fromisoformat(event["at"]))
        time.sleep(job.get("every_ms", 0) / 1000)
    sender.close()
    return {"account": job["account"], "errors": errors}


def main() -> None:
    """All jobs at once."""
    asked = json.loads(sys.argv[1])
    with ThreadPoolExecutor(len(asked["jobs"])) as pool:
        told = list(pool.map(lambda job: run(asked["sdk"], job), asked["jobs"]))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
