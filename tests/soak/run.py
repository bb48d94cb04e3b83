"""Ingest at full load while Kafka is away: killed, frozen, and with partitions that nobody leads."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import msgspec
import psutil

from deploy.local.data_folder import DataFolder
from deploy.local.places import jars_path, root
from deploy.local.progress import Silence
from deploy.local.servers import servers_alone
from schemas.topics import DEAD_EVENTS, PRODUCT_EVENTS
from tests.chaos.violation import require
from tests.integration.ingest_process import ADMIN_KEY, IngestProcess, ingest_environment, prepare, running_ingest
from tests.integration.topic_reader import each_record
from tests.soak import people
from tests.soak.brokers import Node, two_brokers
from tests.soak.load import EVENTS_PER_BATCH, PEOPLE_NUMBER, Load
from tests.soak.memory import Memory
from tests.soak.outages import Frozen, Leaderless, Outage
from tests.soak.poisoned import KeptProducer

PREFIX = "soak."
_PARTITIONS = 6
_RECOVERY_SECONDS = 5.0
# What may be in memory at once by the setting inflight_bytes_max, once as bodies and once as what is made of them.
_GROWTH_MIB_MAX = 128.0
_CREEP_MIB_MAX = 16.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long each outage lasts, with load on either side of it, and how long ingest waits for Kafka. The load is a
    share of what the machine carried a moment before: at its very limit nothing could catch up."""

    outage_seconds: float
    leaderless_seconds: float
    healthy_seconds: float
    ack_seconds: float
    share: float = 0.8
    say: Callable[[str], None] = print


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A running ingest and the brokers that it writes to."""

    service: IngestProcess
    nodes: tuple[Node, Node]

    @property
    def kafka(self) -> str:
        """The address of the broker that stays when partitions have no leader."""
        return self.nodes[0].address


@contextmanager
def surroundings(terms: Terms) -> Iterator[Surroundings]:
    """PostgreSQL, two brokers and ingest, in a folder that is deleted if all went well."""
    folder = root() / ".firstvalue-test" / f"soak-{os.getpid()}"
    with two_brokers(folder) as nodes:
        elsewhere = {"KAFKA_BOOTSTRAP_SERVERS": nodes[0].address}
        data = DataFolder(folder / "postgres")
        with servers_alone(
            data, jars=jars_path(), environment=elsewhere, progress=Silence(), stopping=Event()
        ) as stack:
            environment = ingest_environment(
                database_url=stack.connection["database"],
                kafka_bootstrap=nodes[0].address,
                topic_prefix=PREFIX,
                ingest_ack_seconds=terms.ack_seconds,
            )
            prepare(environment, partitions=_PARTITIONS)
            with running_ingest(environment, folder) as service:
                yield Surroundings(service=service, nodes=nodes)
    shutil.rmtree(folder)


async def soak(terms: Terms, around: Surroundings) -> dict[str, float]:
    """The run's figures; raises Violation."""
    # Each request that waits for Kafka has a connection of its own.
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    load = Load(around.service.url, ADMIN_KEY)
    memory = Memory(psutil.Process(around.service.process.pid))
    kept = KeptProducer(around.kafka, DEAD_EVENTS.named(PREFIX), node_id=2, request_timeout_seconds=terms.ack_seconds)
    await kept.start()
    outages = (
        Outage("killed", around.nodes),
        Frozen("frozen", around.nodes),
        Leaderless("leaderless", around.nodes[1:], kept),
    )
    await asyncio.to_thread(people.send_events, around.service)
    load.answers.acked.add(PEOPLE_NUMBER)
    load.rate_per_s = terms.share * await load.measure(terms.healthy_seconds)
    figures = {"events_per_s": load.rate_per_s * EVENTS_PER_BATCH}
    terms.say(f"load {load.rate_per_s:.0f} batches of {EVENTS_PER_BATCH} a second")
    async with _beside(load, memory):
        await asyncio.sleep(terms.healthy_seconds)
        for outage in outages:
            seconds = terms.leaderless_seconds if isinstance(outage, Leaderless) else terms.outage_seconds
            found = await _suffer(outage, seconds, terms, load, memory)
            terms.say(f"{outage.name:<10} " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()))
            figures |= {f"{outage.name}_{name}": value for name, value in found.items()}
        await asyncio.to_thread(people.tell_accounts, around.service)
    stored = await _stored(around.kafka)
    missing = sum(EVENTS_PER_BATCH - stored.get(number, 0).bit_count() for number in load.answers.acked)
    figures |= {"acked": len(load.answers.acked) * EVENTS_PER_BATCH, "missing": missing}
    require(missing == 0, "acknowledged, and not in Kafka:", missing, "of", figures["acked"])
    return figures


async def _suffer(outage: Outage, seconds: float, terms: Terms, load: Load, memory: Memory) -> dict[str, float]:
    """One outage from its first moment to the recovery; its figures."""
    before_mib, lost_at = memory.now_mib(), time.monotonic()
    load.late_seconds = 0.0
    await asyncio.to_thread(outage.begin)
    await asyncio.gather(asyncio.sleep(seconds), outage.beside())
    mended_at = time.monotonic()
    await asyncio.to_thread(outage.mend)
    back_at = max(await asyncio.gather(*(asyncio.to_thread(node.wait_ready) for node in outage.nodes)))
    recovered_at = await _recovery(load, back_at, terms.healthy_seconds)
    await outage.after()
    deaf = load.answers.first(503, lost_at)
    grace = terms.ack_seconds + 1
    during = load.answers.between(lost_at + grace, mended_at)
    figures = {
        "until_503_s": grace + 1 if deaf is None else deaf - lost_at,
        "longest_answer_s": load.answers.between(lost_at, back_at).longest_seconds,
        "refused": during.statuses[503],
        "recovery_s": recovered_at - back_at,
        "grown_mib": memory.peak_mib(lost_at, back_at) - before_mib,
        "crept_mib": memory.creep_mib(lost_at + grace, mended_at),
        "sent_late_s": load.late_seconds,
    }
    told = outage.name, figures, dict(during.statuses), "unanswered after s:", during.unanswered_seconds
    require(max(figures["until_503_s"], figures["longest_answer_s"]) <= grace, "late answers:", *told)
    require(set(during.statuses) == {503}, "not all 503 while Kafka was away:", *told)
    require(figures["recovery_s"] <= _RECOVERY_SECONDS, "slow recovery:", *told)
    require(figures["grown_mib"] <= _GROWTH_MIB_MAX, "memory grew:", *told)
    require(seconds < 60 or figures["crept_mib"] <= _CREEP_MIB_MAX, "memory creeps:", *told)
    return figures


async def _recovery(load: Load, back_at: float, healthy_seconds: float) -> float:
    """When the last answer came that was not 200; known once all were for a while."""
    while True:
        now = time.monotonic()
        require(now < back_at + 60, "not recovered from")
        bad_at = load.answers.last_other(200, back_at) or back_at
        if now > bad_at + healthy_seconds and load.answers.between(bad_at, now).statuses[200]:
            return bad_at
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _beside(load: Load, memory: Memory) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(load.run()), asyncio.create_task(memory.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Named(msgspec.Struct):
    message_id: str


async def _stored(kafka: str) -> dict[int, int]:
    """By number of a batch a bit for each of its events that is in Kafka."""
    decode = msgspec.json.Decoder(_Named).decode
    found: dict[int, int] = {}
    record: Any
    async for record in each_record(kafka, PRODUCT_EVENTS.named(PREFIX)):
        if record.key is not None:
            number, _, place = decode(record.value).message_id.partition("-")
            if number.isdigit():
                found[int(number)] = found.get(int(number), 0) | 1 << int(place)
    return found
