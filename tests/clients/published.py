"""The SDKs that are tried, and how a test runs one as a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.programs import NODE_PACKAGES

FOLDER = Path(__file__).parent
_ROOT = FOLDER.parents[1]
_DEADLINE_SECONDS = 110
_BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

PYTHON = ("segment-analytics-python", "rudder-sdk-python", "posthog")
NODE = ("analytics-node", "rudder-sdk-node", "posthog-node")
BROWSER = ("analytics-next", "analytics-js")
SDKS = PYTHON + NODE + BROWSER

# The SDKs' own bundles for pages.
PAGES = {
    "analytics-next": NODE_PACKAGES / "@segment/analytics-next/dist/umd/index.js",
    "analytics-js": NODE_PACKAGES / "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js",
}


def events_of_job(account: str, count: int) -> list[dict[str, str]]:
    """Events two hours old, the same at every run but for their time; ids are UUIDs, which PostHog wants."""
    return [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account}/{number}")),
            "at": (_BEGAN + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
        }
        for number in range(count)
    ]


def command_of(sdk: str, jobs: list[dict[str, Any]], *, node: str, chromium: str, page: str) -> list[str]:
    """What runs the SDK with these jobs."""
    asked: dict[str, Any] = {"sdk": sdk, "jobs": jobs}
    if sdk in PYTHON:
        return [sys.executable, "-m", "tests.clients.python_clients", json.dumps(asked)]
    if sdk in NODE:
        return [node, str(FOLDER / "node_clients.mjs"), json.dumps(asked)]
    asked |= {"chromium": chromium, "page": page}
    return [node, str(FOLDER / "browser_clients.mjs"), json.dumps(asked)]


def send(commands: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
    """Run all SDKs at the same time; by SDK and account, the errors that it told."""
    with ThreadPoolExecutor(len(commands)) as pool:
        told = dict(zip(commands, pool.map(_run, commands.values()), strict=True))
    return {sdk: {job["account"]: job["errors"] for job in jobs} for sdk, jobs in told.items()}


def _run(command: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=_DEADLINE_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found
