"""Whether every worker of every process moves again after a fault: by what is stored, and by what the product shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import asyncpg
import httpx
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from schemas.topics import PRODUCT_EVENTS, SIGNALS, UNRESOLVED_EVENTS
from tests.chaos.product import PLAN_ID
from tests.fakes.engine_records import QUICK_PLAN
from tests.fakes.engine_room import EngineRoom
from tests.running_system import RunningSystem, Service

# What a server or a service that comes back raises for a while.
AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    KafkaError,
    httpx.TransportError,
)
_ANSWER_SECONDS = 10.0
# More than were under way when the fault came.
_SIGNALS = 20
# How far each worker is, partition by partition; what no partition has stands under none.
_POSITIONS = f"""
SELECT 'consumer' AS worker, part, next_offset AS position FROM activation.partition_lease
UNION ALL SELECT 'relay', part, published_seq FROM activation.partition_lease
UNION ALL SELECT 'plans', part, max(version) FROM activation.partition_plan WHERE plan = '{PLAN_ID}' GROUP BY part
UNION ALL SELECT 'resolver', partition, next_offset FROM ingest.resolver
UNION ALL SELECT 'intake', part, next_offset FROM notifier.intake
UNION ALL SELECT 'signals made', NULL, count(*) FROM activation.ledger
UNION ALL SELECT 'signals delivered', NULL, count(*) FROM notifier.delivery WHERE status = 'succeeded'
UNION ALL SELECT 'dispatcher', NULL, coalesce(min(id) FILTER (WHERE attempts = 0 AND status IN ('pending', 'leased')),
    max(id) + 1, 0) FROM notifier.delivery
"""
_ENDS = f"""
SELECT part, out_seq, (SELECT coalesce(max(id) + 1, 0) FROM notifier.delivery) AS deliveries,
    (SELECT max(version) FROM activation.plan_version WHERE plan = '{PLAN_ID}') AS version
FROM activation.partition_lease
"""
# By kind of service: its workers that have partitions, the gauge that tells which, and how old the newest work is.
_HOLDERS = {
    "engine": (("consumer", "relay", "plans"), "firstvalue_engine_clock_age_seconds"),
    "ingest": (("resolver",), "firstvalue_ingest_resolver_lag_seconds"),
}
# By kind: what each process counts while a worker of it works.
_COUNTED = {
    "ingest": (("publisher", "firstvalue_ingest_events_total", {"outcome": "accepted"}),),
    "engine": (("consumer", "firstvalue_engine_batch_duration_seconds_count", {}),),
    "notifier": (
        ("intake", "firstvalue_notifier_intake_signals_total", {}),
        ("dispatcher", "firstvalue_notifier_attempts_total", {}),
    ),
}
# Consumer groups that tell Kafka's lag tools how far they are.
_GROUPS = {"consumer": ("activation-engine", PRODUCT_EVENTS), "intake": ("firstvalue-notifier", SIGNALS)}

# A worker, and its partition or its process.
Place = tuple[str, int | str | None]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one process showed on its private port when asked `at`, by the wall clock; `failing` is of /livez."""

    at: float
    failing: tuple[str, ...]
    samples: tuple[Sample, ...]

    def total(self, name: str, labels: Mapping[str, str]) -> float:
        """The sum of the series of a metric that have these labels."""
        return sum(one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items())

    def by_partition(self, name: str) -> dict[int, float]:
        """The series of a metric that has a label for the partition."""
        return {int(one.labels["partition"]): one.value for one in self.samples if one.name == name}


class Recovery:
    """After one fault, which is over now. A worker has recovered when it is past what there was to do at the fault's
    end, and the metrics say so too."""

    def __init__(self, system: RunningSystem, room: EngineRoom, *, fault: str) -> None:
        self._system = system
        self._room = room
        self._fault = fault
        self._over_at = time.time()
        self._goals: dict[Place, int] = {}
        # What each place showed last, and since when.
        self._stands: dict[Place, tuple[float, float]] = {}
        self._counted_first: dict[Place, float] = {}
        self._fallen: set[Place] = set()
        self._asked_for_plan = False

    async def signals_behind(self) -> list[str]:
        """Which of signals and their deliveries do not go on yet, in words. Raises AWAY."""
        stored = await self._positions()
        if not self._goals:
            self._goals = _signal_goals(stored)
        return list(self._behind(stored, {}))

    async def standing(self) -> list[str]:
        """Who has not moved yet, in words. Raises AWAY."""
        if not self._goals:
            self._goals = await self._set_goals()
        stored, services = await self._positions(), self._system.services
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, verify=False) as http:
            answers = await asyncio.gather(*(_ask(http, service) for service in services.values()))
        shown = {name: answer for name, answer in zip(services, answers, strict=True) if answer is not None}
        standing = [f"{name} does not answer" for name in services if name not in shown]
        standing += self._behind(stored, shown)
        for name, one in shown.items():
            standing += self._idle(services[name].kind, name, one)
        for kind, (workers, gauge) in _HOLDERS.items():
            standing += self._untold(kind, workers[0], gauge, shown)
        return standing or await self._uncommitted() or await self._ask_for_plan()

    async def _positions(self) -> dict[Place, int]:
        return {(row["worker"], row["part"]): row["position"] for row in await self._system.query(_POSITIONS)}

    async def _set_goals(self) -> dict[Place, int]:
        """Where each worker has to come: to the log's ends, the ledger's, and the newest delivery. Raises AWAY."""
        goals = _signal_goals(await self._positions())
        async with asyncio.timeout(_ANSWER_SECONDS):
            topics = (PRODUCT_EVENTS, UNRESOLVED_EVENTS, SIGNALS)
            ends = await self._room.ends(*(topic.named(self._system.prefix) for topic in topics))
        for worker, by_part in zip(("consumer", "resolver", "intake"), ends, strict=True):
            goals |= {(worker, part): end for part, end in by_part.items()}
        rows = await self._system.query(_ENDS)
        for row in rows:
            goals["relay", row["part"]] = row["out_seq"]
            # First attempts alone: on a busy machine they leave retries no turn for long.
            goals["dispatcher", None] = row["deliveries"]
        return goals

    async def _ask_for_plan(self) -> list[str]:
        """Publish a version for every partition to adopt, when all else moves: what was published already is applied
        again after a restored backup, and has to come out the same."""
        if self._asked_for_plan:
            return []
        version = max(row["version"] for row in await self._system.query(_ENDS)) + 1
        if self._room.database.is_closed():
            self._room.database = await asyncpg.connect(self._room.database_url)
        await self._room.publish_plan(f"{QUICK_PLAN}title: After {self._fault}\n", version=version)
        self._asked_for_plan = True
        self._goals |= {("plans", part): version for part in range(self._system.partitions)}
        return ["plans were published just now"]

    def _behind(self, stored: Mapping[Place, int], shown: Mapping[str, Shown]) -> Iterator[str]:
        """Partitions that are stored to be where they were."""
        for place, goal in self._goals.items():
            position = stored.get(place, 0)
            stood = self._stood(place, position)
            if position < goal:
                yield f"{self._named(place, shown)} stood for {stood:.0f} s at {position} of {goal}"

    def _idle(self, kind: str, name: str, shown: Shown) -> Iterator[str]:
        """Workers of a process that count nothing, whatever the other process does in their place."""
        yield from (f"{check} of {name} is not live" for check in shown.failing)
        for worker, metric, labels in _COUNTED[kind]:
            count = shown.total(metric, labels)
            stood = self._stood((worker, name), count)
            if count <= self._counted_first.setdefault((worker, name), count):
                yield f"{worker} of {name} stood for {stood:.0f} s, {metric} at {count:.0f}"
        if kind == "engine":
            count = shown.total("firstvalue_engine_ledger_unpublished", {})
            if not self._fell(("unpublished", name), count):
                yield f"relay of {name} has had {count:.0f} signals or more to publish all the time"

    def _fell(self, place: Place, value: float) -> bool:
        """Whether a place has shown 0, or less than at the look before."""
        before, _ = self._stands.get(place, (value, 0.0))
        self._stood(place, value)
        if value == 0 or value < before:
            self._fallen.add(place)
        return place in self._fallen

    def _untold(self, kind: str, worker: str, gauge: str, shown: Mapping[str, Shown]) -> Iterator[str]:
        """Partitions whose metrics tell of no work since the fault, or that not just one process shows; processes that
        show none."""
        replicas = {name: one for name, one in shown.items() if name.rstrip("0123456789") == kind}
        held = {name: one.by_partition(gauge) for name, one in replicas.items()}
        yield from (f"{worker} of {name} has no partition" for name, parts in held.items() if not parts)
        for part in range(self._system.partitions):
            holders = [name for name, parts in held.items() if part in parts]
            if len(holders) != 1:
                yield f"{worker} of partition {part} is shown by {holders or 'nobody'}"
            for name in holders:
                if replicas[name].at - held[name][part] < self._over_at:
                    yield f"{worker} of partition {part} in {name} shows {gauge} {held[name][part]:.0f}"

    async def _uncommitted(self) -> list[str]:
        """Partitions of which Kafka's own lag tools are not told."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._system.kafka)
        behind = []
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await admin.start()
                for worker, (group, topic) in _GROUPS.items():
                    offsets = await admin.list_consumer_group_offsets(self._system.prefix + group)
                    for part in range(self._system.partitions):
                        told = offsets.get(TopicPartition(topic.named(self._system.prefix), part))
                        goal, position = self._goals[worker, part], 0 if told is None else told.offset
                        if position < goal:
                            behind.append(f"{worker} of partition {part} committed {position} of {goal} to Kafka")
        finally:
            await admin.close()
        return behind

    def _named(self, place: Place, shown: Mapping[str, Shown]) -> str:
        """A worker's partition, and the process that shows it."""
        worker, part = place
        if part is None:
            return worker
        gauges = [gauge for workers, gauge in _HOLDERS.values() if worker in workers]
        holders = [name for name, one in shown.items() for gauge in gauges if part in one.by_partition(gauge)]
        return f"{worker} of partition {part} in {' and '.join(holders) or 'a process that does not show it'}"

    def _stood(self, place: Place, value: float) -> float:
        """For how many seconds a place has shown this value."""
        now = time.time()
        before, since = self._stands.get(place, (value, self._over_at))
        self._stands[place] = value, since if before == value else now
        return now - self._stands[place][1]


def _signal_goals(stored: Mapping[Place, int]) -> dict[Place, int]:
    return {place: position + _SIGNALS for place, position in stored.items() if place[0].startswith("signals")}


async def _ask(http: httpx.AsyncClient, service: Service) -> Shown | None:
    """None of a process that has ended or does not answer."""
    at = time.time()
    if not service.runs:
        return None
    try:
        metrics, live = [await http.get(f"{service.private_url}/{path}") for path in ("metrics", "livez")]
    except httpx.TransportError:
        return None
    failing: dict[str, bool] = live.json()["checks"]
    samples = (sample for family in text_string_to_metric_families(metrics.text) for sample in family.samples)
    return Shown(at, tuple(check for check, passed in failing.items() if not passed), tuple(samples))
