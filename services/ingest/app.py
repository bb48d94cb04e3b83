"""The composition root: everything that ingest consists of, made and wired here and nowhere else."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from schemas.topics import DEAD_EVENTS, PRODUCT_EVENTS, TOPICS, UNRESOLVED_EVENTS
from services.ingest.accounts import AccountRules
from services.ingest.api import new_ingest_api
from services.ingest.client_addresses import ClientAddresses
from services.ingest.collector import Collector
from services.ingest.debugger.routes import DebuggerParts
from services.ingest.debugger.tails import TopicTails
from services.ingest.directory.consumer import ResolverConsumer
from services.ingest.directory.known_people import KnownPeople
from services.ingest.directory.resolver import Resolver, ResolverRules
from services.ingest.directory.store import PEOPLE_CHANNEL, DirectoryStore
from services.ingest.inflight import InFlight
from services.ingest.intake import Intake, Limits
from services.ingest.json_paths import parse_paths
from services.ingest.key_store import KEYS_CHANNEL, SCHEMA, KeyStore
from services.ingest.metrics import IngestMetrics
from services.ingest.partitions import partitioner
from services.ingest.people import StaffRule
from services.ingest.processing import EventProcessor, Topics
from services.ingest.publisher import Publisher
from services.ingest.records import RecordBuilder
from services.ingest.settings import IngestSettings
from services.ingest.sources import Sources
from services.ingest.ticker import Ticker
from services.runtime.crash_points import arm
from services.runtime.garbage import calm_garbage_collector
from services.runtime.health import Health, PrivateApp
from services.runtime.http_protocol import ConnectionLimits
from services.runtime.http_server import HttpServer
from services.runtime.kafka import check_topics, new_consumer, new_producer
from services.runtime.key_ring import KeyRing
from services.runtime.migrations import check_current
from services.runtime.notices import Notices
from services.runtime.postgres import answers, connect
from services.runtime.process import Stopping, run_workers
from services.runtime.producers import ProducerKeeper
from services.runtime.settings import SharedSettings
from services.runtime.start import once_servers_answer

MIGRATIONS = Path(__file__).parent / "migrations"

log = structlog.get_logger(__name__)

_DATABASE_CONNECTIONS_MAX = 5
_HEARTBEAT_SECONDS = 5.0
_STOP_SECONDS = 5.0


class Ingest:
    """One running ingest: its parts, in the order in which they start and drain."""

    def __init__(self, shared: SharedSettings, settings: IngestSettings, *, stopping: Stopping) -> None:
        self._shared = shared
        self._settings = settings
        self._stopping = stopping
        self._engine = connect(shared.database_url, service="ingest", connections_max=_DATABASE_CONNECTIONS_MAX)
        self._ring = KeyRing(
            self._engine, admin_key=_secret(shared.admin_key), pepper=shared.key_pepper.get_secret_value()
        )
        self._metrics = IngestMetrics()
        self._metrics.shared.watch_database(self._engine)
        self._directory = DirectoryStore(self._engine)
        self._people = KnownPeople(self._directory, people_max=settings.people_max)
        self._staff = StaffRule(settings.staff_globs)
        self._started = False
        self._publisher: Publisher | None = None
        self._health = Health(
            checks={"started": self._is_started, "producer": self._has_producer, "database": self._database_answers}
        )
        private = PrivateApp(self._health, self._metrics.registry)
        self._private = HttpServer(private, host=shared.host, port=settings.metrics_port)

    async def run(self) -> None:
        """Answer probes at once, events when database and broker were seen, until asked to stop."""
        serving = asyncio.create_task(self._private.serve(), name="private-http")
        try:
            partitions = await once_servers_answer(self._partitions, stopping=self._stopping)
            if partitions is not None:
                await self._work(partitions)
        finally:
            await self._private.stop()
            await serving
            await self._engine.dispose()

    async def _work(self, partitions: int) -> None:
        settings, shared, ring = self._settings, self._shared, self._ring
        inflight = InFlight(bytes_max=settings.inflight_bytes_max, requests_max=settings.requests_max)
        topics = Topics(
            events=PRODUCT_EVENTS.named(shared.topic_prefix),
            unresolved=UNRESOLVED_EVENTS.named(shared.topic_prefix),
            dead=DEAD_EVENTS.named(shared.topic_prefix),
            partitions=partitions,
        )
        publisher = self._publisher = self._new_publisher(topics, inflight)
        ticker = Ticker(
            publisher=publisher, topic=topics.events, partitions=partitions, tick_seconds=settings.tick_seconds
        )
        collector = self._new_collector(publisher, ticker, topics, inflight)
        self._metrics.watch(inflight, ring)
        server = self._new_server(collector)
        resolver = self._new_resolver(publisher, topics)
        heard = {PEOPLE_CHANNEL: self._people.forget, KEYS_CHANNEL: lambda _: ring.refresh_soon()}
        notices = Notices(self._engine, heard=heard, missed=self._people.forget_all)
        ticking = Stopping()
        self._started = True
        log.info("ingest_listening", port=server.port, partitions=partitions)

        async def drain() -> None:
            self._health.drain()
            collector.drain()
            ticking.request()
            await server.stop()
            # What it has not written is decided again by its successor.
            await asyncio.wait([asyncio.ensure_future(resolver.ended.wait())], timeout=settings.ack_seconds)
            await publisher.flush(settings.ack_seconds)
            await publisher.keeper.stop(within_seconds=_STOP_SECONDS)

        workers: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "http": server.serve,
            "keys": lambda: ring.keep_fresh(ticking),
            "publisher": publisher.run,
            "ticker": lambda: ticker.run(ticking),
            "resolver": lambda: resolver.run(ticking),
            "notices": lambda: notices.run(ticking),
            "heartbeat": self._beat,
        }
        await run_workers(workers, stopping=self._stopping, drain=drain, drain_seconds=shared.drain_seconds)

    def _new_collector(self, publisher: Publisher, ticker: Ticker, topics: Topics, inflight: InFlight) -> Collector:
        shared, ring = self._shared, self._ring
        return Collector(
            api=new_ingest_api(
                ring=ring,
                keys=KeyStore(self._engine),
                pepper=shared.key_pepper.get_secret_value(),
                debugger=DebuggerParts(
                    tails=TopicTails(bootstrap_servers=shared.kafka_bootstrap_servers),
                    database=self._engine,
                    prefix=shared.topic_prefix,
                    partitions=topics.partitions,
                    available=lambda: publisher.available,
                ),
            ),
            ring=ring,
            intake=self._new_intake(publisher, ticker, topics),
            publisher=publisher,
            inflight=inflight,
            metrics=self._metrics,
        )

    def _new_publisher(self, topics: Topics, inflight: InFlight) -> Publisher:
        bootstrap, ack_seconds = self._shared.kafka_bootstrap_servers, self._settings.ack_seconds
        keeper = ProducerKeeper(
            make=lambda: new_producer(bootstrap, client_id="firstvalue-ingest", request_timeout_seconds=ack_seconds),
            topics=(topics.events, topics.unresolved, topics.dead),
        )
        return Publisher(
            keeper=keeper,
            partitions=dict.fromkeys((topics.events, topics.unresolved, topics.dead), topics.partitions),
            inflight=inflight,
            metrics=self._metrics,
            ack_seconds=ack_seconds,
            produce_bytes=self._settings.produce_bytes,
        )

    def _new_intake(self, publisher: Publisher, ticker: Ticker, topics: Topics) -> Intake:
        settings = self._settings
        return Intake(
            ring=self._ring,
            publisher=publisher,
            processor=EventProcessor(
                builder=self._new_builder(topics),
                people=self._people,
                addresses=ClientAddresses(parse_paths(settings.address_paths)),
                topics=topics,
            ),
            people=self._people,
            ticker=ticker,
            metrics=self._metrics,
            limits=Limits(
                body_bytes_max=settings.body_bytes_max,
                key_body_bytes_max=settings.key_body_bytes_max,
                event_bytes_max=settings.event_bytes_max,
                events_max=settings.events_max,
            ),
            sources=Sources(secret=self._shared.key_pepper.get_secret_value()),
            group_types=settings.account_group_types,
            events_topic=topics.events,
        )

    def _new_builder(self, topics: Topics) -> RecordBuilder:
        settings = self._settings
        return RecordBuilder(
            partitions=topics.partitions,
            place=partitioner(topics.partitions),
            staff=self._staff,
            historical_age=timedelta(seconds=settings.historical_seconds),
            accounts=AccountRules(group_types=settings.account_group_types, paths=parse_paths(settings.account_paths)),
        )

    def _new_resolver(self, publisher: Publisher, topics: Topics) -> ResolverConsumer:
        settings, shared = self._settings, self._shared
        rules = ResolverRules(
            events_topic=topics.events,
            dead_topic=topics.dead,
            place=partitioner(topics.partitions),
            waiting_max=settings.parked_events_max,
            waiting_age=timedelta(days=settings.parked_days),
        )
        beat = functools.partial(self._health.beat, "resolver")
        return ResolverConsumer(
            new_consumer=lambda: new_consumer(
                shared.kafka_bootstrap_servers,
                client_id="firstvalue-ingest-resolver",
                group_id=f"{shared.topic_prefix}firstvalue-ingest-resolver",
                session_timeout_seconds=settings.session_timeout_seconds,
            ),
            topic=topics.unresolved,
            store=self._directory,
            resolver=Resolver(
                store=self._directory,
                publisher=publisher,
                staff=self._staff,
                metrics=self._metrics,
                rules=rules,
                beat=beat,
            ),
            metrics=self._metrics,
            beat=beat,
        )

    def _new_server(self, collector: Collector) -> HttpServer:
        settings = self._settings
        return HttpServer(
            collector,
            host=self._shared.host,
            port=settings.port,
            # The other half is for Kafka: a client that never finishes its body must not use up all the time.
            drain_seconds=self._shared.drain_seconds / 2,
            limits=ConnectionLimits(
                header_seconds=settings.header_seconds,
                body_seconds=settings.body_seconds,
                connections_max=settings.connections_max,
            ),
        )

    async def _partitions(self) -> int:
        await check_current(self._engine, schema=SCHEMA, folder=MIGRATIONS)
        await self._ring.refresh()
        shared = self._shared
        counts = await check_topics(
            shared.kafka_bootstrap_servers, TOPICS, prefix=shared.topic_prefix, production=shared.production
        )
        return counts[PRODUCT_EVENTS.named(shared.topic_prefix)]

    async def _beat(self) -> None:
        while True:
            self._health.beat("event_loop")
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    async def _is_started(self) -> bool:
        return self._started

    async def _has_producer(self) -> bool:
        return self._publisher is not None and self._publisher.available

    async def _database_answers(self) -> bool:
        return await answers(self._engine)


async def serve(shared: SharedSettings, settings: IngestSettings, *, stopping: Stopping) -> None:
    """Run ingest until asked to stop; raises WorkerFailed."""
    arm(shared.crash_at)
    # Its own retries fill the log while a broker is away; what matters is logged where it is handled.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    calm_garbage_collector()
    await Ingest(shared, settings, stopping=stopping).run()


def _secret(value: Any) -> str | None:
    return None if value is None else value.get_secret_value()
