"""After its end nothing of a Kafka client goes on, also with brokers that hang: the library's own gives up half-way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import nullcontext, suppress
from typing import Any

import psutil
import pytest
from aiokafka.errors import ProducerClosed
from aiokafka.protocol.metadata import MetadataResponse_v0

from deploy.local.data_folder import DataFolder
from schemas.topics import SIGNALS
from services.runtime.group import GroupMember
from services.runtime.kafka import BrokerTrouble, create_topics, new_consumer, new_producer
from services.runtime.producers import ProducerKeeper, stop_producer
from tests.fakes.private_servers import frozen, pid_of
from tests.waiting import until

PREFIX = "kafka_clients."
PARTITIONS = 12


def member_of(kafka: str, *, group: str) -> GroupMember:
    """One that reads nothing: it pauses what it gets, as every member does, and goes on asking for records."""

    async def nobody(_: Collection[int]) -> None:
        pass

    return GroupMember(
        new_consumer=lambda: new_consumer(kafka, client_id="test", group_id=PREFIX + group, session_timeout_seconds=6),
        topic=SIGNALS.named(PREFIX),
        on_assigned=lambda _: None,
        on_revoked=nobody,
    )


async def broker_of(private: DataFolder) -> str:
    """Its address once it has the topic; one that was frozen takes a moment to be known again."""
    kafka: str = private.read_state()["connection"]["kafka"]

    async def has_topic() -> bool:
        with suppress(BrokerTrouble):
            await create_topics(kafka, [SIGNALS], prefix=PREFIX, partitions=PARTITIONS, replication=1)
            return True
        return False

    await until(has_topic)
    return kafka


async def read(member: GroupMember) -> None:
    """Until it has all partitions and waits for their next records; a client that fails is replaced."""

    async def has_all() -> bool:
        try:
            if not member.joined:
                await member.join()
            await member.poll(50)
        except (BrokerTrouble, OSError):
            await member.leave()
        return len(member.assigned()) == PARTITIONS

    await until(has_all)
    for part in member.assigned():
        member.read_from(part, 0)
    await member.poll(200)


def connections(kafka: str) -> int:
    """How many this process has to the broker."""
    port = int(kafka.rsplit(":", 1)[1])
    found = psutil.Process(os.getpid()).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port for one in found)


@pytest.mark.parametrize("trouble", ["none", "frozen"])
async def test_nothing_goes_on_after_leaving_a_group(private: DataFolder, trouble: str) -> None:
    """Neither its tasks nor its connections; and a successor has its partitions."""
    kafka = await broker_of(private)
    before = asyncio.all_tasks()
    member = member_of(kafka, group=trouble)
    await read(member)
    assert connections(kafka)
    with frozen(pid_of(private, "kafka")) if trouble == "frozen" else nullcontext():
        async with asyncio.timeout(15):
            await member.leave()
        assert asyncio.all_tasks() <= before
        assert not connections(kafka)
    successor = member_of(kafka, group=trouble)
    await read(successor)
    await successor.leave()
    assert asyncio.all_tasks() <= before


async def test_nothing_goes_on_of_a_producer(private: DataFolder) -> None:
    """What it could not deliver fails in time for somebody to deliver it otherwise; what it could is acknowledged."""
    kafka = await broker_of(private)
    before = asyncio.all_tasks()
    producer = new_producer(kafka, client_id="test")
    await producer.start()
    delivered = await producer.send(SIGNALS.named(PREFIX), b"1", partition=0)
    await delivered
    owed = [await producer.send(SIGNALS.named(PREFIX), b"2", partition=1)]
    await stop_producer(producer, within_seconds=10)
    assert [one.exception() for one in owed] == [None]
    assert (asyncio.all_tasks() <= before, connections(kafka)) == (True, 0)
    producer = new_producer(kafka, client_id="test")
    await producer.start()
    await (await producer.send(SIGNALS.named(PREFIX), b"3", partition=0))
    with frozen(pid_of(private, "kafka")):
        # Greater than what a connection takes of which nobody reads.
        value = bytes(1_000_000)
        owed = [await producer.send(SIGNALS.named(PREFIX), value, partition=part) for part in range(PARTITIONS)]
        async with asyncio.timeout(15):
            await stop_producer(producer, within_seconds=0.5)
        assert [type(one.exception()) for one in owed] == [ProducerClosed] * PARTITIONS
        assert asyncio.all_tasks() <= before
        assert not connections(kafka)


async def test_nothing_goes_on_of_a_producer_whose_brokers_are_all_silent(private: DataFolder) -> None:
    """The library connects to one after the other, and asks each in turn where its partitions are by now."""
    kafka = await broker_of(private)
    before = asyncio.all_tasks()
    producer = new_producer(kafka, client_id="test")
    await producer.start()
    await producer.partitions_for(SIGNALS.named(PREFIX))
    brokers = [await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) for _ in range(3)]
    ports = [one.sockets[0].getsockname()[1] for one in brokers]
    nodes = [(100 + number, "127.0.0.1", port) for number, port in enumerate(ports)]
    led: list[Any] = [(0, part, 100 + part % 3, [], []) for part in range(PARTITIONS)]
    producer.client.cluster.update_metadata(MetadataResponse_v0(nodes, [(0, SIGNALS.named(PREFIX), led)]))
    owed = [await producer.send(SIGNALS.named(PREFIX), b"5", partition=part) for part in range(PARTITIONS)]
    async with asyncio.timeout(15):
        await stop_producer(producer, within_seconds=0.5)
    for broker in brokers:
        broker.close()
    assert [type(one.exception()) for one in owed] == [ProducerClosed] * PARTITIONS
    assert asyncio.all_tasks() <= before
    assert [connections(f"127.0.0.1:{port}") for port in ports] == [0, 0, 0]


async def test_nothing_goes_on_of_a_producer_that_is_not_wanted_any_more_while_it_begins(private: DataFolder) -> None:
    """Nobody has it yet who could end it."""
    kafka, made = await broker_of(private), list[Any]()
    before = asyncio.all_tasks()

    def make() -> Any:
        made.append(new_producer(kafka, client_id="test"))
        return made[-1]

    async def begun() -> bool:
        return bool(made and made[0]._sender.sender_task)

    keeping = asyncio.create_task(ProducerKeeper(make=make, topics=(PREFIX + "missing",)).run())
    await until(begun)
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=15)
    assert (len(made), asyncio.all_tasks() <= before, connections(kafka)) == (1, True, 0)
