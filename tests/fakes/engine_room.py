"""A room for engines: topics and a database of their own, a log to feed them, and the check of what they made of it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.topics import PRODUCT_EVENTS, SIGNALS, TOPICS
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.store import Adoption
from services.runtime.kafka import BATCH_BYTES_MAX, create_topics
from tests.fakes.engine_comparison import check_account, check_topic
from tests.fakes.engine_process import EngineProcess
from tests.fakes.engine_records import QUICK_PLAN, command_value, event_value, tick_value
from tests.fakes.oracle import Oracle, fold_log
from tests.migrated import migrate
from tests.waiting import until


class EngineRoom:
    """Topics and database of one test with `parts` partitions, and the engines that it starts."""

    def __init__(self, *, database_url: str, kafka: str, prefix: str, folder: Path, parts: int) -> None:
        self.database_url = database_url
        self.kafka = kafka
        self.prefix = prefix
        self.parts = parts
        self.events_topic = PRODUCT_EVENTS.named(prefix)
        self.signals_topic = SIGNALS.named(prefix)
        self._folder = folder
        self._engines: list[EngineProcess] = []
        self._ahead: EngineProcess | None = None
        self._numbers = 0
        self.database: asyncpg.Connection[Any]
        self.producer: Any = None

    async def open(self) -> None:
        """Make schema and topics, connect."""
        await asyncio.to_thread(migrate, self.database_url, "activation")
        await create_topics(self.kafka, TOPICS, prefix=self.prefix, partitions=self.parts, replication=1)
        self.database = await asyncpg.connect(self.database_url)
        await self.restart_producer()

    async def restart_producer(self) -> None:
        """A producer that knows the topics as they are now."""
        if self.producer is not None:
            await self.producer.stop()
        # Batches as big as those of ingest.
        self.producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=BATCH_BYTES_MAX + 65_536,
        )
        await self.producer.start()

    async def recreate_events_topic(self) -> None:
        """Delete the events topic and make it again, empty."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        await admin.delete_topics([self.events_topic])

        async def created() -> bool:
            topic = NewTopic(self.events_topic, self.parts, 1, topic_configs=PRODUCT_EVENTS.broker_config())
            answer = await admin.create_topics([topic])
            return bool(answer.topic_errors[0][1] == 0)

        await until(created, timeout_seconds=20, what="the topic created again")
        await admin.close()
        await self.restart_producer()

    async def close(self) -> None:
        """Kill what still runs, disconnect."""
        for engine in self._engines:
            if engine.process.poll() is None:
                engine.kill()
        if self.producer is not None:
            await self.producer.stop()
        await self.database.close()

    async def publish_plan(self, text: str = QUICK_PLAN, *, version: int = 1, policy: str = "silent") -> None:
        """Store a plan version; owners adopt it by themselves."""
        checked = load_plan(text)
        await self.database.execute(
            "INSERT INTO activation.plan_version (plan, version, hash, title, policy, content, source)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            *(checked.plan.id, version, checked.hash, checked.title, policy),
            *(msgspec.json.encode(checked.content).decode(), text),
        )

    def start(self, *, crash_at: str = "", group: str | None = None, **settings: str) -> EngineProcess:
        """Start an engine. A group of its own, unless one is named, spares the wait for a killed member's session;
        who owns a partition is decided in the database alone."""
        environment = {
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "FIRSTVALUE_TOPIC_PREFIX": self.prefix,
            "FIRSTVALUE_CRASH_AT": crash_at,
            "FIRSTVALUE_ENGINE_PORT": "0",
            "FIRSTVALUE_ENGINE_METRICS_PORT": "0",
            "FIRSTVALUE_ENGINE_SESSION_TIMEOUT_SECONDS": "6",
            "FIRSTVALUE_ENGINE_OFFSETS_COMMIT_SECONDS": "0.2",
            "FIRSTVALUE_ENGINE_GROUP": group or secrets.token_hex(4),
            **settings,
        }
        engine = self._ahead or self.launch_ahead()
        self._ahead = None
        engine.begin(environment)
        return engine

    def launch_ahead(self) -> EngineProcess:
        """Launch what the next start will be of, so that it need not be waited for."""
        self._ahead = EngineProcess(self._folder / f"{len(self._engines):02d}-engine.log")
        self._engines.append(self._ahead)
        return self._ahead

    def part_of(self, account: str) -> int:
        """The partition that this test's log keeps an account in."""
        return zlib.crc32(account.encode()) % self.parts

    async def send(self, account: str, name: str, *, message: str | None = None, body: str = "{}") -> None:
        """Append one event; returns without waiting for its acknowledgement."""
        self._numbers += 1
        value = event_value(account, name, message or f"m{self._numbers}", body=body)
        await self.producer.send(self.events_topic, value, key=account.encode(), partition=self.part_of(account))

    async def command(self, account: str, name: str, **fields: Any) -> int:
        """Append a command; its offset."""
        self._numbers += 1
        value = command_value(account, name, f"m{self._numbers}", **fields)
        return await self.append(self.part_of(account), key=account.encode(), value=value)

    async def append(self, part: int, *, key: bytes | None, value: bytes | None) -> int:
        """Append any record; its offset."""
        batch = self.producer.create_batch()
        assert batch.append(key=key, value=value, timestamp=None) is not None
        batch.close()
        sent = await self.producer.send_batch(batch, self.events_topic, partition=part)
        return int((await sent).offset)

    async def tick(self) -> None:
        """Append a tick to every partition."""
        await asyncio.gather(*(self.append(part, key=None, value=tick_value()) for part in range(self.parts)))

    @contextlib.asynccontextmanager
    async def load(
        self, *, accounts: int = 40, events_per_second: float = 400, events_max: int = 10**9
    ) -> AsyncIterator[None]:
        """Events of changing accounts, some sent twice, and ticks, for as long as the context lasts; after `events_max`
        ticks alone."""
        task = asyncio.create_task(self._keep_sending(accounts, events_per_second, events_max))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.producer.flush()

    async def _keep_sending(self, accounts: int, events_per_second: float, events_max: int) -> None:
        quick = ("Data Imported", "Page Viewed", "Report Made", "Report Made", "Page Viewed", "Page Viewed")
        # At risk and stalled before it moves.
        slow = ("Page Viewed", "Page Viewed", "Page Viewed", "Page Viewed", "Page Viewed", "Data Imported")
        for number in range(events_max):
            # New accounts keep coming, or signals would end with the last milestone.
            generation, turn = divmod(number // accounts, len(quick))
            account = f"account-{generation}-{number % accounts}"
            name = (slow if number % accounts % 3 == 0 else quick)[turn]
            for _ in range(2 if number % 7 == 0 else 1):
                await self.send(account, name, message=f"load-{number}")
            if number % 60 == 59:
                await self.command(account, "erase")
            if number % 20 == 0:
                await self.tick()
                await asyncio.sleep(20 / events_per_second)
        while True:
            await self.tick()
            await asyncio.sleep(0.5)

    async def caught_up(self) -> bool:
        """Whether every record is applied and every signal known to be published."""
        ends, published = await self.ends(self.events_topic, self.signals_topic)
        rows = await self.database.fetch("SELECT part, next_offset, out_seq FROM activation.partition_lease")
        return len(rows) == self.parts and all(
            row["next_offset"] == ends[row["part"]] and published[row["part"]] >= row["out_seq"] for row in rows
        )

    async def ends(self, *topics: str) -> list[dict[int, int]]:
        """Of each topic the offsets after the newest records, by partition."""
        places = [TopicPartition(topic, part) for topic in topics for part in range(self.parts)]
        async with _reader(self.kafka) as reader:
            found = await reader.end_offsets(places)
        return [{part: found[TopicPartition(topic, part)] for part in range(self.parts)} for topic in topics]

    async def records(self, topic: str) -> dict[int, list[Any]]:
        """Everything on a topic, by partition."""
        async with _reader(self.kafka) as reader:
            places = [TopicPartition(topic, part) for part in range(self.parts)]
            ends = await reader.end_offsets(places)
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            found: dict[int, list[Any]] = {part: [] for part in range(self.parts)}
            while any([await reader.position(place) < ends[place] for place in places]):
                for place, records in (await reader.getmany(timeout_ms=200)).items():
                    found[place.partition] += records
            return found

    async def owed(self, part: int, records: Sequence[Any]) -> Oracle:
        """The plain fold of a partition's records, with plan versions live from where the partition adopted them."""
        rows = await self.database.fetch(
            "SELECT p.plan, p.version, p.from_offset, p.live_from_ms, p.policy, v.source"
            " FROM activation.partition_plan p JOIN activation.plan_version v USING (plan, version) WHERE part = $1",
            part,
        )
        plans = {(row["plan"], row["version"]): load_plan(row["source"]).plan for row in rows}
        adoptions = [Adoption(part, *tuple(row)[:-1]) for row in rows]
        return fold_log(records, adoptions, lambda plan, version: plans[plan, version])

    async def check_against_oracle(self) -> int:
        """Compare ledger, accounts and the signals topic with the plain fold of all that was applied; the number of
        signals compared. Between two accounts that one tick moves no order is owed."""
        compared = 0
        events, signals = await self.records(self.events_topic), await self.records(self.signals_topic)
        leases = await self.database.fetch("SELECT * FROM activation.partition_lease ORDER BY part")
        for lease in leases:
            part = lease["part"]
            applied = [record for record in events[part] if record.offset < lease["next_offset"]]
            oracle = await self.owed(part, applied)
            ledger = await self.database.fetch("SELECT * FROM activation.ledger WHERE part = $1 ORDER BY seq", part)
            assert [row["seq"] for row in ledger] == list(range(1, lease["out_seq"] + 1)), f"gap in ledger of {part}"
            owed, found = defaultdict(list), defaultdict(list)
            of = {signal.id: signal.account_id for signal in oracle.signals}
            for signal in oracle.signals:
                owed[signal.account_id].append(signal.id)
            # Erased accounts stand in the ledger by another name.
            for row in ledger:
                found[of.get(str(row["id"]))].append(str(row["id"]))
            assert found == owed, f"partition {part}"
            stored = await self.database.fetch("SELECT * FROM activation.account WHERE part = $1", part)
            assert {row["account_id"] for row in stored} == set(oracle.accounts)
            for row in stored:
                check_account(oracle, row)
            check_topic(signals[part], ledger, lease["published_seq"])
            compared += len(ledger)
        return compared


@contextlib.asynccontextmanager
async def _reader(kafka: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, check_crcs=False)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def engine_room(**places: Any) -> AsyncIterator[EngineRoom]:
    """A room, opened, and closed whatever happens; its first engine is launched meanwhile."""
    room = EngineRoom(**places)
    room.launch_ahead()
    await room.open()
    try:
        yield room
    finally:
        await room.close()
