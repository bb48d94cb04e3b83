"""The composition root of the activation engine: builds everything, waits for what is away, runs, drains."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from schemas.topics import PRODUCT_EVENTS, SIGNALS
from services.activation_engine.api import new_engine_api
from services.activation_engine.commit_plan import Outward
from services.activation_engine.consumer import Consumer, Pace
from services.activation_engine.leases import Leases
from services.activation_engine.log_probe import LogProbe, LogUnreachable
from services.activation_engine.metrics import EngineMetrics
from services.activation_engine.operations.audit.audit import AUDIT
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.owner import OwnersDuties
from services.activation_engine.operations.verbs import Operations, new_operations
from services.activation_engine.plan_adoption import PlanCatalog
from services.activation_engine.plans.registry import PlanMemory
from services.activation_engine.postgres_store import PostgresStore
from services.activation_engine.reading.event_names import EventNames
from services.activation_engine.reading.partitions import PartitionViews
from services.activation_engine.relay import Relay
from services.activation_engine.settings import EngineSettings
from services.activation_engine.store import StoreUnavailable
from services.activation_engine.transactions import Transactions
from services.activation_engine.watchdog import Watchdog
from services.runtime import crash_points, postgres
from services.runtime.garbage import calm_garbage_collector
from services.runtime.health import Health, PrivateApp
from services.runtime.http_server import HttpServer
from services.runtime.kafka import check_topics, new_consumer, new_producer
from services.runtime.key_ring import KeyRing
from services.runtime.migrations import check_current
from services.runtime.process import Stopping, run_workers
from services.runtime.producers import ProducerKeeper
from services.runtime.settings import SharedSettings
from services.runtime.start import once_servers_answer

log = structlog.get_logger(__name__)

SCHEMA = "activation"
MIGRATIONS = Path(__file__).parent / "migrations"
_CLIENT = "firstvalue-engine"
_STATUSES_SECONDS = 30.0
_WISHES_SECONDS = 1.0


class Engine:
    """Every part of the process, wired; nothing is connected before `serve`."""

    def __init__(self, shared: SharedSettings, settings: EngineSettings) -> None:
        self.shared = shared
        self.settings = settings
        self.topic = PRODUCT_EVENTS.named(shared.topic_prefix)
        self.parts = 0
        self.metrics = EngineMetrics(CollectorRegistry())
        self.pool = postgres.connect(
            shared.database_url, service="engine", connections_max=settings.database_connections_max
        )
        self.reads = postgres.connect(
            shared.database_url, service="engine-reads", connections_max=settings.reads_connections_max
        )
        self.metrics.shared.watch_database(self.pool)
        admin_key = shared.admin_key.get_secret_value() if shared.admin_key else None
        self.names = EventNames(self.reads, views=PartitionViews(PlanMemory()))
        self.keys = KeyRing(self.reads, admin_key=admin_key, pepper=shared.key_pepper.get_secret_value())
        self.store = PostgresStore(self.pool)
        self.catalog = PlanCatalog(self.store)
        self.probe = LogProbe(
            lambda: new_consumer(shared.kafka_bootstrap_servers, client_id=f"{_CLIENT}-probe", group_id=None),
            topic=self.topic,
        )
        self.outward = Outward(
            frozenset(name.strip() for name in settings.signal_traits.split(",") if name.strip()),
            settings.account_link,
        )
        self.operations = self._operations()
        self.relay = self._relay()
        self.leases = self._leases()
        self.transactions = self._transactions()
        self.consumer = self._consumer()
        self.health = Health(checks={"database": lambda: postgres.answers(self.pool), "broker": self._connected})
        self.metrics.watch_relay(self.relay.unpublished)

    def _operations(self) -> Operations:
        servers = self.shared.kafka_bootstrap_servers
        log = EventsLog(
            new_consumer=lambda: new_consumer(servers, client_id=f"{_CLIENT}-operations", group_id=None),
            new_producer=lambda: new_producer(servers, client_id=f"{_CLIENT}-operations"),
            topic=self.topic,
        )
        return new_operations(
            self.reads, log, outward=self.outward, show_differences=self.metrics.audit_differences.set
        )

    def _relay(self) -> Relay:
        topic = SIGNALS.named(self.shared.topic_prefix)
        keeper = ProducerKeeper(
            make=lambda: new_producer(self.shared.kafka_bootstrap_servers, client_id=f"{_CLIENT}-relay"),
            topics=(topic,),
        )
        return Relay(
            store=self.store,
            keeper=keeper,
            topic=topic,
            metrics=self.metrics,
            rows_max=self.settings.relay_rows_max,
        )

    def _leases(self) -> Leases:
        return Leases(
            store=self.store,
            probe=self.probe,
            catalog=self.catalog,
            relay=self.relay,
            metrics=self.metrics,
            owner=f"{socket.gethostname()}/{os.getpid()}",
            heartbeat_seconds=self.settings.session_timeout_seconds / 4,
            accounts_cached_max=self.settings.accounts_cached_max,
        )

    def _transactions(self) -> Transactions:
        return Transactions(
            store=self.store,
            leases=self.leases,
            catalog=self.catalog,
            relay=self.relay,
            metrics=self.metrics,
            outward=self.outward,
            due_accounts_max=self.settings.due_accounts_max,
        )

    def _consumer(self) -> Consumer:
        settings = self.settings
        return Consumer(
            new_consumer=lambda: new_consumer(
                self.shared.kafka_bootstrap_servers,
                client_id=_CLIENT,
                group_id=self.shared.topic_prefix + settings.group,
                session_timeout_seconds=settings.session_timeout_seconds,
                rebalance_timeout_seconds=settings.rebalance_timeout_seconds,
                fetch_wait_ms=settings.poll_wait_ms,
            ),
            topic=self.topic,
            leases=self.leases,
            probe=self.probe,
            transactions=self.transactions,
            relay=self.relay,
            metrics=self.metrics,
            pace=Pace(
                batch_events_max=settings.batch_events_max,
                poll_wait_ms=settings.poll_wait_ms,
                unpublished_signals_max=settings.unpublished_signals_max,
                rebalance_timeout_seconds=settings.rebalance_timeout_seconds,
            ),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.consumer.close()
        await self.probe.stop()
        await self.pool.dispose()
        await self.reads.dispose()

    async def _connected(self) -> bool:
        return self.relay.connected and self.parts > 0


async def serve(shared: SharedSettings, settings: EngineSettings, *, stopping: Stopping) -> None:
    """Run the engine until stopped. Raises WorkerFailed, after one clear log line when the start was refused."""
    crash_points.arm(shared.crash_at)
    engine = Engine(shared, settings)
    calm_garbage_collector()
    private = HttpServer(
        PrivateApp(engine.health, engine.metrics.registry), host=shared.host, port=settings.metrics_port
    )
    api = new_engine_api(
        reads=engine.reads, keys=engine.keys, partitions=lambda: engine.parts, operations=engine.operations
    )
    public = HttpServer(api, host=shared.host, port=settings.port, drain_seconds=shared.drain_seconds / 2)
    log.info("listening", port=public.port, metrics_port=private.port)
    servers = [asyncio.create_task(server.serve()) for server in (private, public)]
    try:
        away = (StoreUnavailable, LogUnreachable)
        if await once_servers_answer(lambda: _prepare(engine), stopping=stopping, away=away):
            await run_workers(
                _workers(engine, stopping)
                | {"private": lambda: _joined(servers[0]), "public": lambda: _joined(servers[1])},
                stopping=stopping,
                drain=lambda: _drain(engine, public),
                drain_seconds=shared.drain_seconds,
            )
    finally:
        await asyncio.gather(private.stop(), public.stop())
        await engine.close()


def _workers(engine: Engine, stopping: Stopping) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
    settings, beat = engine.settings, engine.health.beat
    watchdog = Watchdog(
        consumer=engine.consumer, leases=engine.leases, probe=engine.probe, stall_seconds=settings.stall_seconds
    )
    duties = OwnersDuties(engine.reads, leases=engine.leases, relay=engine.relay, jobs=engine.operations.jobs)
    return {
        "relay": engine.relay.run,
        "consumer": lambda: engine.consumer.run(stopping, beat=lambda: beat("consumer")),
        "keys": lambda: engine.keys.keep_fresh(stopping),
        "plans": lambda: engine.catalog.watch(stopping, poll_seconds=settings.plans_poll_ms / 1000),
        "offsets": lambda: engine.consumer.commit_offsets(stopping, every_seconds=settings.offsets_commit_seconds),
        "wishes": lambda: duties.run(stopping, poll_seconds=_WISHES_SECONDS),
        "watchdog": lambda: watchdog.run(stopping),
        "statuses": lambda: _count_statuses(engine, stopping),
    }


async def _joined(server: asyncio.Task[None]) -> None:
    await server


async def _prepare(engine: Engine) -> bool:
    """Check what the engine stands on, and begin with it."""
    await check_current(engine.pool, schema=SCHEMA, folder=MIGRATIONS)
    counts = await check_topics(
        engine.shared.kafka_bootstrap_servers,
        (PRODUCT_EVENTS, SIGNALS),
        prefix=engine.shared.topic_prefix,
        production=engine.shared.production,
    )
    await engine.store.create_leases(counts[engine.topic], source=engine.topic)
    await engine.catalog.refresh()
    await engine.probe.start()
    engine.parts = counts[engine.topic]
    engine.metrics.partitions.set(engine.parts)
    return True


async def _drain(engine: Engine, public: HttpServer) -> None:
    """Finish the batch under way, publish what it announced, note how far that came, leave the group."""
    engine.health.drain()
    await engine.operations.runner.close()
    await engine.consumer.ended.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(engine.shared.drain_seconds / 2):
            await engine.relay.flush()
    await engine.transactions.save_progress()
    await engine.consumer.close()
    await public.stop()


async def _count_statuses(engine: Engine, stopping: Stopping) -> None:
    """Worker: keep the gauges of accounts by status, of silent event names, and of what the newest audit found, which
    another process may have done, or this one before it was started anew."""
    while True:
        try:
            engine.metrics.show_statuses(await engine.store.count_statuses())
            engine.metrics.silent_names.set(sum(one.silent for one in await engine.names.all()))
            differences = await engine.operations.jobs.newest_count(AUDIT, "differences")
            if differences is not None:
                engine.metrics.audit_differences.set(differences)
        except (StoreUnavailable, SQLAlchemyError, OSError) as error:
            log.debug("statuses_not_counted", error=str(error))
        if await stopping.sleep(_STATUSES_SECONDS):
            return
