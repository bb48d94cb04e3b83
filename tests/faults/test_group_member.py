"""After a member has left its group nothing of the library's client goes on: its own end gives up half-way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import nullcontext

import psutil
import pytest

from deploy.local.data_folder import DataFolder
from schemas.topics import SIGNALS
from services.runtime.group import GroupMember
from services.runtime.kafka import BrokerTrouble, create_topics, new_consumer
from tests.fakes.private_servers import frozen, pid_of
from tests.waiting import until

PREFIX = "group_member."
PARTITIONS = 3


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
async def test_nothing_goes_on_after_leaving(private: DataFolder, trouble: str) -> None:
    """Neither its tasks nor its connections; and a successor has its partitions."""
    kafka = private.read_state()["connection"]["kafka"]
    await create_topics(kafka, [SIGNALS], prefix=PREFIX, partitions=PARTITIONS, replication=1)
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
