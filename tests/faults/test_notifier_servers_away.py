"""PostgreSQL and Kafka that die, hang or are not there yet: the notifier lives on, and loses and doubles nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import psutil
import pytest_asyncio

from deploy.local.data_folder import DataFolder
from schemas.signals import Signal
from services.runtime.kafka import BrokerTrouble
from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.private_servers import pid_of
from tests.fakes.receiver import Receiver, verify
from tests.running_notifier import NotifierClient, Servers, notifier_process, prepare, query
from tests.waiting import until

_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'firstvalue-notifier'"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surroundings(private: DataFolder, topic_prefix: str) -> Servers:
    """A migrated database and the topic, on the private pair."""
    connection = private.read_state()["connection"]
    made = Servers(connection["database"], connection["kafka"], topic_prefix)
    await prepare(made)
    return made


@asynccontextmanager
async def load(servers: Servers) -> AsyncIterator[list[Signal]]:
    """A relay that publishes a signal every 50 ms and sends it again until the broker has it."""
    sent: list[Signal] = []
    ended = asyncio.Event()

    async def publish_all(publisher: SignalPublisher) -> None:
        while not ended.is_set():
            signal_ = a_signal(account_id=f"account-{len(sent)}")
            while True:
                try:
                    await publisher.publish([signal_], partition=len(sent) % 2)
                    break
                except BrokerTrouble:
                    await asyncio.sleep(0.2)
            sent.append(signal_)
            await asyncio.sleep(0.05)

    async with SignalPublisher(servers.kafka_bootstrap, servers.topic) as publisher:
        relay = asyncio.create_task(publish_all(publisher))
        yield sent
        ended.set()
        await relay


async def backends(servers: Servers) -> set[int]:
    """The server's processes for the notifier's connections; none while it recovers."""
    try:
        return {row["pid"] for row in await query(servers, _BACKENDS)}
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return set()


async def crash_database(servers: Servers) -> None:
    """Kill one connection's process: the server drops all others and recovers from its log. Returns once the notifier
    has new connections; which of its calls failed meanwhile, if any, is chance."""
    before: set[int] = await until(lambda: backends(servers))
    for pid in before:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            break

    async def replaced() -> bool:
        now = await backends(servers)
        return bool(now) and not now & before

    await until(replaced)


async def live(client: NotifierClient) -> bool:
    """What an orchestrator that restarts dead processes asks."""
    return (await client.http.get(f"{client.private_url}/livez")).status_code == 200


async def test_servers_die_and_return_under_load(private: DataFolder, surroundings: Servers) -> None:
    """A database that crashes twice and a broker killed with -9: the same process delivers everything, once each."""
    async with Receiver() as receiver, notifier_process(surroundings, {}) as (process, client):
        endpoint = await client.add_endpoint(receiver.url())
        async with load(surroundings) as sent:
            for _ in range(2):
                await receiver.wait_for(len(receiver.received) + 10)
                await crash_database(surroundings)
            await receiver.wait_for(len(receiver.received) + 10)
            broker = pid_of(private, "kafka")
            os.kill(broker, signal.SIGKILL)

            async def another_broker() -> bool:
                return pid_of(private, "kafka") != broker

            await until(another_broker)
            await receiver.wait_for(len(receiver.received) + 20)
            assert await live(client)

        async def all_recorded() -> bool:
            rows = await client.deliveries(endpoint_id=endpoint["id"])
            done = {each["signal_id"] for each in rows if each["status"] == "succeeded"}
            return len(rows) == len(done) and done == {each.id for each in sent}

        await until(all_recorded)
        assert process.returncode is None
        assert {each.headers["webhook-id"] for each in receiver.received} == {each.id for each in sent}
        for request in receiver.received:
            verify(request, endpoint["secret"])
        assert await query(surroundings, "SELECT 1 FROM notifier.dead_letter") == []
        await client.ask("DELETE", f"/v1/endpoints/{endpoint['id']}", status=204)


async def test_api_answers_while_the_broker_is_not_there_yet(private: DataFolder, surroundings: Servers) -> None:
    """Started while Kafka hangs, it is live and not ready, takes endpoints, and begins by itself when Kafka returns."""
    broker = psutil.Process(pid_of(private, "kafka"))
    tree = [broker, *broker.children(recursive=True)]
    async with Receiver() as receiver:
        for each in tree:
            each.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(60), notifier_process(surroundings, {}, wait_ready=False) as (_, client):
                endpoint = await client.add_endpoint(receiver.url())
                ready: Any = await client.http.get(f"{client.private_url}/readyz")
                assert (ready.status_code, ready.json()["checks"]["started"]) == (503, False)
                assert await live(client)
                await client.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
                for each in tree:
                    each.send_signal(signal.SIGCONT)
                (request,) = await receiver.wait_for(1)
                verify(request, endpoint["secret"])
        finally:
            for each in tree:
                each.send_signal(signal.SIGCONT)
