"""What services ask of the topics before they start, of a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.topics import PRODUCT_EVENTS, TOPICS
from services.runtime import kafka
from services.runtime.kafka import BrokerUnreachable, TopicProblem, check_topics, create_topics
from tests.conftest import RunningServers
from tests.ports import free_port
from tests.running_system import SERVICES, RunningSystem
from tests.topic_settings import set_topic

_DURABLE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
_UNFIT = {"message.timestamp.type": "CreateTime", "cleanup.policy": "compact", "max.message.bytes": "100000"}


async def test_production_refuses_what_can_lose_acknowledged_records(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too few replicas, a write that one of them has alone, a leader that may lack records. The one broker here stands
    for three."""

    async def check() -> dict[str, int]:
        return await check_topics(kafka_bootstrap, TOPICS, prefix=topic_prefix, production=True)

    await create_topics(kafka_bootstrap, TOPICS, prefix=topic_prefix, partitions=2, replication=1)
    with pytest.raises(TopicProblem, match="needs replication factor 3"):
        await check()
    monkeypatch.setattr(kafka, "_PRODUCTION_REPLICAS", 1)
    for topic in TOPICS:
        await set_topic(kafka_bootstrap, topic.named(topic_prefix), topic.broker_config() | _DURABLE)
    assert set((await check()).values()) == {2}
    for changed in ({"min.insync.replicas": "1"}, {"unclean.leader.election.enable": "true"}):
        config = PRODUCT_EVENTS.broker_config() | _DURABLE | changed
        await set_topic(kafka_bootstrap, PRODUCT_EVENTS.named(topic_prefix), config)
        with pytest.raises(TopicProblem, match=f"{PRODUCT_EVENTS.name} needs .*unclean.leader.election.enable=false"):
            await check()


@pytest.mark.parametrize("key", _UNFIT)
async def test_a_topic_that_is_unfit_is_refused(kafka_bootstrap: str, topic_prefix: str, key: str) -> None:
    """Clocks of producers for the broker's, records that are dropped for their key, batches that are never taken."""
    prefix = f"{topic_prefix}{key}."
    await create_topics(kafka_bootstrap, TOPICS, prefix=prefix, partitions=1, replication=1)
    config = PRODUCT_EVENTS.broker_config()
    await set_topic(kafka_bootstrap, PRODUCT_EVENTS.named(prefix), config | {"retention.ms": "60000"})
    assert set((await check_topics(kafka_bootstrap, TOPICS, prefix=prefix)).values()) == {1}
    await set_topic(kafka_bootstrap, PRODUCT_EVENTS.named(prefix), config | {key: _UNFIT[key]})
    with pytest.raises(TopicProblem, match=f"{PRODUCT_EVENTS.name} needs {key}="):
        await check_topics(kafka_bootstrap, TOPICS, prefix=prefix)


async def test_topics_made_for_production_pass(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`firstvalue topics --replication 3`, as far as one broker can show it."""
    prefix = f"{topic_prefix}made."
    monkeypatch.setattr(kafka, "_PRODUCTION_REPLICAS", 1)
    await create_topics(kafka_bootstrap, TOPICS, prefix=prefix, partitions=1, replication=1)
    assert set((await check_topics(kafka_bootstrap, TOPICS, prefix=prefix, production=True)).values()) == {1}


@pytest.fixture
async def elsewhere(kafka_bootstrap: str) -> AsyncIterator[str]:
    """An address of the broker at which it says that it is to be found at another one, where nobody listens: as with
    wrong `advertised.listeners`."""
    host, _, port = kafka_bootstrap.rpartition(":")
    told, false = (struct.pack(">i", number) for number in (int(port), free_port()))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(65_536):
                writer.write(some.replace(told, false))
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, to_broker), pump(from_broker, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_brokers_that_are_not_where_they_say_are_told_as_such(elsewhere: str, tmp_path: Path) -> None:
    """By the command in a sentence; a service waits for them."""
    with pytest.raises(BrokerUnreachable, match="NodeNotReadyError"):
        await check_topics(elsewhere, TOPICS, prefix="")
    words = [sys.executable, "-m", "services.cli", "topics", "--bootstrap-servers", elsewhere]
    command = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE, cwd=tmp_path)
    _, said = await asyncio.wait_for(command.communicate(), 60)
    assert command.returncode == 3
    (line,) = said.decode().splitlines()
    assert line.startswith(f"Kafka at {elsewhere} could not be asked (NodeNotReadyError: ")
    assert "the addresses which its brokers advertise" in line


async def test_every_service_refuses_to_start_on_them_in_production(servers: RunningServers, tmp_path: Path) -> None:
    """It ends and says why; nothing is waited for that will not come."""
    async with RunningSystem(servers.database_url, servers.kafka_bootstrap, tmp_path) as system:
        services = [system.add(name, PRODUCTION="true") for name in SERVICES]
        for service in services:
            service.start()
        for service in services:
            assert service.process is not None
            assert await asyncio.to_thread(service.process.wait, 60) != 0
            assert "needs replication factor 3 in production" in service.log.read_text(), service.name
