"""One chaos run: servers of its own, two of each service, load, faults, rest, judgement."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from deploy.local.data_folder import DataFolder
from schemas.topics import UNRESOLVED_EVENTS
from tests.chaos.faults import Faults
from tests.chaos.judge import judge
from tests.chaos.observer import WATCH_LEASES, Observer
from tests.chaos.product import PLAN_ID, Product
from tests.chaos.recovery import AWAY, Recovery
from tests.chaos.sink import Sink
from tests.chaos.violation import require
from tests.fakes.engine_records import QUICK_PLAN
from tests.fakes.engine_room import EngineRoom
from tests.running_system import RunningSystem

PARTITIONS = 3
_REPLICAS = ("ingest", "ingest2", "engine", "engine2", "notifier", "notifier2")
_RECOVERY_SECONDS = 120.0
_DRAIN_SECONDS = 180.0
_SETTINGS = {
    "INGEST_TICK_SECONDS": "0.2",
    "ENGINE_OFFSETS_COMMIT_SECONDS": "1",
    # On a busy machine claims of a shorter lease are given back before they are sent, again and again.
    "NOTIFIER_LEASE_SECONDS": "10",
    # A hundred quick tries: what is not delivered then is lost.
    "NOTIFIER_RETRY_SCHEDULE_SECONDS": ",".join(["0.5"] * 100),
}
# Partitions whose numbers the notifier has not all read. It has no messages of what was erased before.
_UNREAD = """SELECT part, out_seq, last_seq, gaps FROM activation.partition_lease LEFT JOIN notifier.intake USING (part)
    WHERE last_seq IS DISTINCT FROM NULLIF(out_seq, 0) OR gaps <> '{}'"""
_WAITING = "SELECT count(*) FROM notifier.delivery WHERE status IN ('pending', 'leased')"
# Events that go on waiting although their user is known.
_KEPT = "SELECT count(*) FROM ingest.parked_event JOIN ingest.person USING (user_id) WHERE cardinality(accounts) > 0"


class Untried(Exception):
    """The run is right, but something that it is for did not happen."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """`minutes` None: every fault once; `faults`: these instead. `commands` replace how a kind of service is run.

    Every worker is asked after this share of the faults, `asked`, and at the end. After the others only signals have
    to go on, so that a fault also meets what the one before it left.
    """

    seed: int
    asked: float = 1.0
    minutes: float | None = None
    faults: Sequence[str] = ()
    commands: Mapping[str, Sequence[str]] = field(default_factory=dict)
    say: Callable[[str], None] = print


async def chaos_run(terms: Terms, servers: DataFolder, folder: Path) -> dict[str, int]:
    """The run's figures; raises Violation, AssertionError of the comparisons, or Untried."""
    at = servers.read_state()["connection"]
    system = RunningSystem(
        at["database"], at["kafka"], folder, partitions=PARTITIONS, settings=_SETTINGS, commands=terms.commands
    )
    sink = Sink(terms.seed)
    async with system, sink.receiver:
        try:
            await system.start(*_REPLICAS)
        except AssertionError as error:
            raise Untried(f"not started: {error}") from error
        sink.secret = await _prepare(system, sink)
        async with _room(system, folder) as room:
            poison = await _append_poison(room)
            await room.database.execute(WATCH_LEASES)
            ingests = [functools.partial(system.client, name) for name in _REPLICAS if name.startswith("ingest")]
            product = Product(clients=ingests, seed=terms.seed)
            observer = Observer(system, erased=product.ledger.erased)
            async with _beside(product.run(), observer.run()) as (sending, watching):
                faults = Faults(system, servers, observer, product.ledger)
                recover = functools.partial(Recovery, system, room)
                slowest = await _break_things(terms, faults, recover, (sending, watching))
                product.stop()
                await sending
                await _come_to_rest(system, room, watching)
            await _read_all(observer)
            figures = await judge(room, ledger=product.ledger, sink=sink, observer=observer, poison=poison)
    ledger = product.ledger
    figures |= {"retries": ledger.retries, "given_up": ledger.given_up, "rejected": len(ledger.rejected)}
    figures["recovery_seconds_max"] = round(slowest)
    wanted = ("unchanged", "dead_lettered", "by_user", "retries", "rejected", "signals", "blanked")
    unused = [name for name in wanted if not figures[name]]
    if unused or sink.attempts <= figures["signals"]:
        raise Untried(f"never ran: {unused or 'second attempts'}, {figures}")
    return figures


async def _prepare(system: RunningSystem, sink: Sink) -> str:
    """Publish the plan, add the endpoint; its secret."""
    async with system.client("engine") as engine, system.client("notifier") as notifier:
        answer = await engine.put(f"/v1/plans/{PLAN_ID}", content=QUICK_PLAN.encode())
        require(answer.status_code == 200 and answer.json()["live"], "the plan is not live:", answer.text)
        origins = ["live", "catch_up", "replay", "plan_change"]
        endpoint = {"url": sink.receiver.url(), "types": ["account.*"], "origins": origins, "timeout_seconds": 3}
        answer = await notifier.post("/v1/endpoints", json=endpoint)
        require(answer.status_code == 201, "no endpoint:", answer.text)
        return str(answer.json()["secret"])


@contextlib.asynccontextmanager
async def _room(system: RunningSystem, folder: Path) -> AsyncIterator[EngineRoom]:
    room = EngineRoom(
        database_url=system.database_url, kafka=system.kafka, prefix=system.prefix, folder=folder, parts=PARTITIONS
    )
    await room.open()
    try:
        yield room
    finally:
        await room.close()


async def _append_poison(room: EngineRoom) -> int:
    """Records that can never be applied, one per partition, past ingest; how many."""
    for part in range(PARTITIONS):
        await room.append(part, key=b"poison", value=b'{"v": 1, "account_id": ')
    return PARTITIONS


@contextlib.asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Task[None]]]:
    sending, watching = (asyncio.create_task(one) for one in work)
    try:
        yield sending, watching
    finally:
        for task in (sending, watching):
            task.cancel()
        await asyncio.gather(sending, watching, return_exceptions=True)


async def _break_things(
    terms: Terms, faults: Faults, recover: Callable[..., Recovery], tasks: Sequence[asyncio.Task[None]]
) -> float:
    """The longest that it took, in seconds, until every worker moved again."""
    began, slowest, asked = time.monotonic(), 0.0, False
    chance = random.Random(f"{terms.seed}-asked")
    chosen: Iterator[str] = faults.once_each(terms.seed) if terms.minutes is None else faults.at_random(terms.seed)
    for name in iter(terms.faults) if terms.faults else chosen:
        if terms.minutes is not None and time.monotonic() - began > terms.minutes * 60:
            break
        terms.say(f"{time.monotonic() - began:6.1f} s  {name}")
        await (faults.all | faults.provoking)[name]()
        recovery, asked = recover(fault=name), chance.random() < terms.asked
        seconds = await _until_none(recovery.standing if asked else recovery.signals_behind, tasks)
        slowest = max(slowest, seconds if asked else 0.0)
    return slowest if asked else max(slowest, await _until_none(recover(fault="all of them").standing, tasks))


async def _until_none(standing: Callable[[], Awaitable[Sequence[str]]], tasks: Sequence[asyncio.Task[None]]) -> float:
    """Liveness: within bounded time nobody stands still any more; how many seconds that took."""
    began = time.monotonic()
    while True:
        for task in tasks:
            if task.done():
                task.result()
        try:
            found = await standing()
        except AWAY as error:
            found = [f"what cannot be asked: {error!r}"]
        seconds = time.monotonic() - began
        if not found:
            return seconds
        require(seconds < _RECOVERY_SECONDS, "not moving again:", "; ".join(found))
        await asyncio.sleep(0.2)


async def _come_to_rest(system: RunningSystem, room: EngineRoom, watching: asyncio.Task[None]) -> None:
    """End the ingests, so that no more ticks come; wait until all is applied, published and delivered."""
    if room.database.is_closed():
        room.database = await asyncpg.connect(room.database_url)
    deadline = time.monotonic() + _DRAIN_SECONDS
    while not await _all_decided(room):
        require(time.monotonic() < deadline, "events without an account are not decided")
        await asyncio.sleep(0.3)
    for service in system.services.values():
        if service.kind == "ingest":
            # One that was killed last may be starting still, and would die of a SIGTERM.
            await service.wait_ready()
            ended = await asyncio.to_thread(service.stop)
            require(ended == 0, service.name, "ended with", ended)
    while True:
        if watching.done():
            watching.result()
        # In this order: nothing applied later is unread, nothing read later waits.
        applied = await room.caught_up()
        unread = [dict(row) for row in await room.database.fetch(_UNREAD)]
        waiting = await room.database.fetchval(_WAITING)
        if applied and not unread and not waiting:
            return
        stopped = await room.database.fetch("SELECT part, stopped FROM activation.partition_lease WHERE stopped <> ''")
        told = ("not at rest:", unread, "deliveries that wait:", waiting, [dict(row) for row in stopped])
        require(time.monotonic() < deadline, *told)
        await asyncio.sleep(0.3)


async def _all_decided(room: EngineRoom) -> bool:
    """Whether the resolver has read all that names no account, and only strangers' events wait."""
    (ends,) = await room.ends(UNRESOLVED_EVENTS.named(room.prefix))
    rows = await room.database.fetch("SELECT partition, next_offset FROM ingest.resolver")
    decided = ends == {row["partition"]: row["next_offset"] for row in rows}
    return decided and not await room.database.fetchval(_KEPT)


async def _read_all(observer: Observer) -> None:
    """The feed to its end."""
    before = -1
    while before < len(observer.followed):
        before = len(observer.followed)
        await observer.look()
