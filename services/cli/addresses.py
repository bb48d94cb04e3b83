"""Where the services are and which key to show them: options, environment, else the local stack that runs here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from services.cli.output import Misused, Unreachable

ServiceName = Literal["ingest", "engine", "notifier"]

IngestUrl = Annotated[
    str | None, typer.Option("--ingest-url", envvar="FIRSTVALUE_INGEST_URL", help="Default: the local stack's.")
]
EngineUrl = Annotated[
    str | None, typer.Option("--engine-url", envvar="FIRSTVALUE_ENGINE_URL", help="Default: the local stack's.")
]
NotifierUrl = Annotated[
    str | None, typer.Option("--notifier-url", envvar="FIRSTVALUE_NOTIFIER_URL", help="Default: the local stack's.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar=["FIRSTVALUE_API_KEY", "FIRSTVALUE_ADMIN_KEY"],
        show_envvar=True,
        help="API key. Default: the local stack's admin key.",
    ),
]


@dataclass(frozen=True, slots=True)
class Target:
    """One service and the key to show it."""

    service: ServiceName
    url: str
    key: str


def find(service: ServiceName, *, url: str | None, key: str | None) -> Target:
    """The service at `url`, else that of the running local stack. Raises Unreachable or Misused."""
    if url is None:
        connection = _local_stack()
        if connection is None:
            raise Unreachable(
                f"No local stack runs here: start one with `firstvalue up`, or set FIRSTVALUE_{service.upper()}_URL."
            )
        return Target(service, connection[service]["url"].rstrip("/"), key or connection["admin_key"])
    if not url.startswith(("http://", "https://")):
        raise Misused(f"{url} is not an address: write it like http://127.0.0.1:8082.")
    if key is None:
        raise Misused("No API key: give --key, or set FIRSTVALUE_API_KEY.")
    return Target(service, url.rstrip("/"), key)


def _local_stack() -> dict[str, Any] | None:
    from deploy.local.data_folder import DataFolder
    from deploy.local.places import data_path

    data = DataFolder(data_path(os.environ))
    state, holder = data.read_state(), data.lock_holder()
    if holder is None:
        return None
    if holder != state.get("supervisor") or not state.get("ready"):
        raise Unreachable("The local stack is starting or stopping: `firstvalue status` shows how far it is.")
    connection: dict[str, Any] = state["connection"]
    return connection
