"""PostgreSQL and Kafka themselves, asked as the services ask them: what there is to see of each."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from services.runtime.kafka import BrokerTrouble, check_broker
from services.runtime.logs import first_line
from services.runtime.migrations import StaleSchema, check_current
from services.runtime.postgres import access_advice, connect

# Each service's schema; the services themselves are not imported.
_SCHEMAS = {"ingest": "ingest", "activation": "activation_engine", "notifier": "notifier"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSeen:
    """What is wrong with its schemas, or `refusal`: why it lets nobody in, or `failure`: why it did not answer."""

    stale: tuple[str, ...] = ()
    refusal: str | None = None
    failure: str | None = None


def broker_answers(bootstrap_servers: str, *, seconds: float) -> bool:
    """Whether a broker at one of these addresses answers within so many seconds, also of names that nobody resolves."""
    addresses = [address.strip() for address in bootstrap_servers.split(",")]
    answered: Queue[bool] = Queue()
    # What it complains of is told as a finding.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    ends_at = time.monotonic() + seconds
    for address in addresses:
        # Of a pool the process would wait for at its end.
        Thread(target=lambda one: answered.put(_answers(one, seconds)), args=(address,), daemon=True).start()
    try:
        return any(answered.get(timeout=max(0.0, ends_at - time.monotonic())) for _ in addresses)
    except Empty:
        return False


def see_database(database_url: str, *, seconds: float) -> DatabaseSeen:
    """Ask for the version of each schema, for so many seconds in all."""
    try:
        # In this thread: for one of asyncio's the process would wait at its end.
        if host := make_url(database_url).host:
            socket.getaddrinfo(host, None)
        return DatabaseSeen(stale=tuple(asyncio.run(_stale(database_url, seconds))))
    except TimeoutError:
        return DatabaseSeen(failure=f"it said nothing for {seconds:g} s")
    except (SQLAlchemyError, OSError) as error:
        refusal = access_advice(error)
        return DatabaseSeen(refusal=refusal, failure=None if refusal else first_line(error))


async def _stale(database_url: str, seconds: float) -> list[str]:
    engine = connect(database_url, service="doctor", connections_max=1)
    found = []
    try:
        async with asyncio.timeout(seconds):
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


def _answers(address: str, seconds: float) -> bool:
    # In this thread, as above.
    host, _, port = address.rpartition(":")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
        asyncio.run(_ask_broker(address, seconds))
    except (OSError, ValueError, BrokerTrouble):
        return False
    return True


async def _ask_broker(address: str, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await check_broker(address)
