"""Builds the notifier from its parts and runs it: the only module that knows them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.topics import SIGNALS
from services.notifier.api import NotifierApiParts, new_notifier_api
from services.notifier.api.vetting import EndpointVetting
from services.notifier.backlog import Backlog
from services.notifier.claimer import Claimer, ClaimerParts, Deliverer, Wake
from services.notifier.dispatcher import Dispatcher
from services.notifier.intake import Intake, IntakeParts
from services.notifier.intake_batch import BatchWriter
from services.notifier.metrics import NotifierMetrics
from services.notifier.outcomes import OutcomeWriter
from services.notifier.recipients import Recipients
from services.notifier.sender.client import Sender, SenderLimits, new_tls_context
from services.notifier.sender.resolver import Resolver
from services.notifier.settings import NotifierSettings
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.digests import DigestStore
from services.notifier.store.endpoint_keys import EndpointKeys
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.gates import GateStore
from services.notifier.store.intake import IntakeStore
from services.notifier.store.queue import QueueStore
from services.notifier.store.replays import ReplayStore
from services.notifier.store.secrets import reencrypt_all
from services.notifier.store.upkeep import UpkeepStore
from services.notifier.upkeep import Kept, Upkeep
from services.runtime.command import Unfinished
from services.runtime.crash_points import arm
from services.runtime.garbage import calm_garbage_collector
from services.runtime.health import Health, PrivateApp
from services.runtime.http_server import HttpServer
from services.runtime.kafka import check_topics, new_consumer
from services.runtime.key_ring import KeyRing
from services.runtime.migrations import check_current
from services.runtime.postgres import answers, connect
from services.runtime.process import Stopping, run_workers
from services.runtime.settings import SharedSettings
from services.runtime.start import once_servers_answer

log = structlog.get_logger(__name__)

SCHEMA = "notifier"
MIGRATIONS = Path(__file__).parent / "migrations"
_CONNECTIONS_MAX = 8
# What is left of the drain time when requests on the wire had theirs: recording, leaving the group, closing.
_CLOSING_SECONDS = 3.0


async def serve(shared: SharedSettings, settings: NotifierSettings, *, stopping: Stopping) -> None:
    """Run until asked to stop; raises WorkerFailed when a worker fails or the schema or a topic is not as needed."""
    arm(shared.crash_at)
    notifier = _Notifier(shared, settings, stopping)
    calm_garbage_collector()
    await notifier.run()


async def reencrypt(shared: SharedSettings, settings: NotifierSettings) -> str:
    """Encrypt every stored secret with the current key; what was done, for a person. Services may run meanwhile."""
    engine = connect(shared.database_url, service="notifier", connections_max=1)
    try:
        await check_current(engine, schema=SCHEMA, folder=MIGRATIONS)
        done, unreadable = await reencrypt_all(engine, settings.secret_box())
    finally:
        await engine.dispose()
    if unreadable:
        raise Unfinished(
            f"{done} secrets are encrypted with the current key; {unreadable} need a key that is not configured: "
            "add it to FIRSTVALUE_NOTIFIER_SECRET_KEYS_OLD and run this again."
        )
    return f"{done} secrets were encrypted with the current key; FIRSTVALUE_NOTIFIER_SECRET_KEYS_OLD may be emptied."


class _Notifier:
    """Everything of one process. Both ports answer from the start, deliveries begin once the servers are there."""

    def __init__(self, shared: SharedSettings, settings: NotifierSettings, stopping: Stopping) -> None:
        self._shared = shared
        self._settings = settings
        self._stopping = stopping
        self._started = False
        self._engine: AsyncEngine = connect(shared.database_url, service="notifier", connections_max=_CONNECTIONS_MAX)
        self._registry = CollectorRegistry()
        self._metrics = NotifierMetrics(self._registry)
        self._metrics.shared.watch_database(self._engine)
        self._health = Health(checks={"started": self._has_started, "database": lambda: answers(self._engine)})
        self._wake = Wake()
        self._build_storage()
        self._build_delivery()
        self._build_intake()
        private = PrivateApp(self._health, self._registry)
        self._private = HttpServer(private, host=shared.host, port=settings.metrics_port)
        self._public = HttpServer(self._new_api(), host=shared.host, port=settings.port, drain_seconds=_CLOSING_SECONDS)

    async def run(self) -> None:
        """Serve until stopped or failed."""
        probes = asyncio.create_task(self._private.serve())
        api = asyncio.create_task(self._public.serve())
        try:
            if await once_servers_answer(self._check, stopping=self._stopping):
                self._started = True
                log.info("started", port=self._public.port, metrics_port=self._private.port)
                seconds = self._shared.drain_seconds
                await run_workers(self._workers(api), stopping=self._stopping, drain=self._drain, drain_seconds=seconds)
        finally:
            await self._public.stop()
            await self._sender.close()
            await self._engine.dispose()
            await self._private.stop()
            await asyncio.gather(probes, api, return_exceptions=True)

    def _build_storage(self) -> None:
        box = self._settings.secret_box()
        self._endpoints, self._signing = EndpointStore(self._engine, box), EndpointKeys(self._engine, box)
        self._deliveries = DeliveryStore(self._engine)
        self._replays = ReplayStore(self._engine)
        self._queue = QueueStore(
            self._engine, lease_seconds=self._settings.lease_seconds, pause_seconds=self._settings.breaker_seconds
        )
        admin_key = self._shared.admin_key.get_secret_value() if self._shared.admin_key else None
        self._keys = KeyRing(self._engine, admin_key=admin_key, pepper=self._shared.key_pepper.get_secret_value())

    def _build_delivery(self) -> None:
        settings = self._settings
        self._resolver = Resolver(timeout_seconds=settings.dns_timeout_seconds)
        self._sender = Sender(
            rules=settings.address_rules(),
            resolver=self._resolver,
            tls=new_tls_context(settings.ca_file),
            limits=SenderLimits(
                connect_seconds=settings.connect_timeout_seconds,
                connection_age_seconds_max=settings.connection_age_max_seconds,
            ),
            metrics=self._metrics,
        )
        self._outcomes = OutcomeWriter(
            queue=self._queue,
            schedule=settings.schedule(),
            metrics=self._metrics,
            health=self._health,
            on_closed=self._withdraw,
            on_recovered=self._wake,
        )
        deliver = Deliverer(
            queue=self._queue, sender=self._sender, outcomes=self._outcomes, lease_seconds=settings.lease_seconds
        )
        self._dispatcher = Dispatcher(deliver, in_flight_max=settings.in_flight_max, want_more=self._wake)
        parts = ClaimerParts(
            queue=self._queue,
            recipients=Recipients(self._endpoints, ports=settings.allowed_ports()),
            dispatcher=self._dispatcher,
            outcomes=self._outcomes,
            wake=self._wake,
            health=self._health,
        )
        self._claimer = Claimer(parts, poll_seconds=settings.poll_seconds)

    def _build_intake(self) -> None:
        topic = SIGNALS.named(self._shared.topic_prefix)
        store = IntakeStore(self._engine, topic=topic, digest_seconds=self._settings.digest_seconds)
        backlog = Backlog(waiting_max=self._settings.backlog_max)
        self._intake = Intake(
            IntakeParts(
                new_consumer=self._new_consumer,
                topic=topic,
                store=store,
                writer=BatchWriter(store=store, backlog=backlog, metrics=self._metrics, on_committed=self._wake),
                metrics=self._metrics,
                health=self._health,
                stopping=self._stopping,
            )
        )
        self._upkeep = Upkeep(
            queue=self._queue,
            store=UpkeepStore(self._engine),
            gates=GateStore(self._engine),
            digests=DigestStore(self._engine, window_seconds=self._settings.digest_seconds),
            replays=self._replays,
            backlog=backlog,
            dispatcher=self._dispatcher,
            metrics=self._metrics,
            wake=self._wake,
            stopping=self._stopping,
        )

    def _new_consumer(self) -> Any:
        return new_consumer(
            self._shared.kafka_bootstrap_servers,
            client_id="firstvalue-notifier",
            group_id=self._shared.topic_prefix + self._settings.group,
            session_timeout_seconds=self._settings.session_timeout_seconds,
        )

    def _new_api(self) -> FastAPI:
        vetting = EndpointVetting(
            rules=self._settings.address_rules(),
            ports=self._settings.allowed_ports(),
            resolver=self._resolver,
            knows_time_zone=self._endpoints.knows_time_zone,
        )
        return new_notifier_api(
            NotifierApiParts(
                keys=self._keys,
                endpoints=self._endpoints,
                signing=self._signing,
                deliveries=self._deliveries,
                replays=self._replays,
                vetting=vetting,
                wake=self._wake,
            )
        )

    def _workers(self, api: asyncio.Task[None]) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        settings = self._settings
        kept = Kept(
            attempts_days=settings.attempts_kept_days,
            bodies_days=settings.messages_kept_days,
            ids_days=settings.ids_kept_days,
            accesses_days=settings.accesses_kept_days,
        )
        return {
            "http": lambda: _joined(api),
            "keys": lambda: self._keys.keep_fresh(self._stopping),
            "intake": self._intake.run,
            "claimer": self._claimer.run,
            "outcomes": self._outcomes.run,
        } | self._upkeep.workers(lease_seconds=settings.lease_seconds, kept=kept)

    async def _withdraw(self, endpoint_ids: Collection[str]) -> None:
        """What was claimed for endpoints that are left alone now goes back unsent."""
        await self._claimer.give_back(self._dispatcher.withdraw(endpoint_ids))

    async def _has_started(self) -> bool:
        return self._started

    async def _check(self) -> bool:
        await check_current(self._engine, schema=SCHEMA, folder=MIGRATIONS)
        shared = self._shared
        await check_topics(
            shared.kafka_bootstrap_servers, [SIGNALS], prefix=shared.topic_prefix, production=shared.production
        )
        return True

    async def _drain(self) -> None:
        """Claim nothing more, let requests on the wire end, record them, leave the group, close the door."""
        self._health.drain()
        seconds = max(self._shared.drain_seconds - _CLOSING_SECONDS, self._shared.drain_seconds / 2)
        await self._claimer.stop(finish_seconds=seconds)
        await self._outcomes.flush()
        await self._intake.stopped.wait()
        await self._public.stop()


async def _joined(task: asyncio.Task[None]) -> None:
    """Let a task that runs already count as a worker: when it fails, the process does."""
    await asyncio.shield(task)
