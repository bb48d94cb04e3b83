"""Schemas brought up to date in the test's own process: a process for each would take a second to start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import services.activation_engine
import services.ingest
import services.notifier
from services.runtime.migrations import upgrade

_SERVICES = {"ingest": services.ingest, "activation": services.activation_engine, "notifier": services.notifier}


def migrate(database_url: str, *schemas: str) -> None:
    """Make `schemas`, all three if none is named, as the services need them."""
    # In a thread, because it runs an event loop of its own.
    with ThreadPoolExecutor(1) as pool:
        for schema in schemas or _SERVICES:
            folder = Path(str(_SERVICES[schema].__file__)).parent / "migrations"
            pool.submit(upgrade, database_url, schema=schema, folder=folder).result()
