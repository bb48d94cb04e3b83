"""PostgreSQL and Kafka themselves, where their addresses are known: can they be reached, is the schema current?"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from services.cli.doctor.findings import Finding, fine, problem
from services.cli.doctor.look import Look
from services.runtime.migrations import StaleSchema, check_current
from services.runtime.postgres import connect

_CONNECT_SECONDS = 3.0
_DATABASE_SECONDS = 10.0
# Each service's schema; the services themselves are not imported.
_SCHEMAS = {"ingest": "ingest", "activation": "activation_engine", "notifier": "notifier"}


def broker_answers(look: Look) -> Iterator[Finding]:
    """One of its addresses takes a connection."""
    if look.kafka is None:
        return
    addresses = [address.strip() for address in look.kafka.split(",")]
    if any(map(_connects, addresses)):
        yield fine("kafka", f"Kafka takes connections at {look.kafka}")
    else:
        yield problem(
            "kafka", f"Kafka takes no connection at {look.kafka}", "start it, or correct KAFKA_BOOTSTRAP_SERVERS"
        )


def database_is_current(look: Look) -> Iterator[Finding]:
    """It answers, and each schema is at the version of this release."""
    if look.database_url is None:
        return
    parts = urlsplit(look.database_url)
    place = f"{parts.hostname or 'its socket'}{f':{parts.port}' if parts.port else ''}"
    try:
        stale = asyncio.run(_stale(look.database_url))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        do = "start it, or correct DATABASE_URL"
        yield problem("database", f"PostgreSQL does not answer at {place} ({type(error).__name__})", do)
        return
    for message in stale:
        yield problem("schema", message, "run `firstvalue migrate` with the release that the services run")
    if not stale:
        yield fine("database", f"PostgreSQL answers at {place}, and its schemas are current")


async def _stale(database_url: str) -> list[str]:
    engine = connect(database_url, service="doctor", connections_max=1)
    found = []
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            for schema, package in _SCHEMAS.items():
                try:
                    await check_current(engine, schema=schema, folder=_folder(package) / "migrations")
                except StaleSchema as stale:
                    found.append(str(stale))
    finally:
        await engine.dispose()
    return found


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(f"services.{package}")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False
