"""Kafka clients with this project's settings, and the creation and check of topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownTopicOrPartitionError,
    for_code,
)

BATCH_BYTES_MAX = 1_048_576
_VISIBLE_SECONDS = 10.0
_PRODUCTION_REPLICAS = 3
# A write is in two replicas, and none without it becomes the leader.
_PRODUCTION_CONFIG = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
# How long records are kept is for the operator to say.
_FREE_TO_CHOOSE = "retention.ms"

# What the functions below raise when no broker answers, for callers that do not know the library.
BrokerUnreachable = KafkaConnectionError
# Any failure that a broker or the way to it can cause.
BrokerTrouble = KafkaError


class TopicSpec(Protocol):
    """What a topic is created from."""

    def named(self, prefix: str) -> str:
        """The name on the broker."""

    def broker_config(self) -> dict[str, str]:
        """Settings as the broker spells them."""


class TopicProblem(Exception):
    """A topic is missing or unfit; the message says what to do."""


def new_producer(bootstrap_servers: str, *, client_id: str, request_timeout_seconds: float = 5) -> Any:
    """An idempotent producer with acks from all in-sync replicas; not started.

    The library's defaults (acks=1, 16 KiB batches, 40 s timeout) lose acknowledged records or block a partition of a
    hung leader for everybody.
    """
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=BATCH_BYTES_MAX + 65_536,
        request_timeout_ms=int(request_timeout_seconds * 1000),
        metadata_max_age_ms=30_000,
    )


def new_consumer(
    bootstrap_servers: str,
    *,
    client_id: str,
    group_id: str | None,
    session_timeout_seconds: float = 10,
    rebalance_timeout_seconds: float = 30,
    poll_records_max: int | None = None,
    fetch_wait_ms: int = 50,
    fetch_bytes_max: int = 52_428_800,
) -> Any:
    """A consumer that never commits by itself and starts at the earliest record; not started, not subscribed.

    Positions live in PostgreSQL; Kafka's own offsets are for lag tools only. Checksums are left to TCP and the broker
    (12 % of the consumer's time).
    """
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        client_id=client_id,
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(StickyPartitionAssignor,),
        fetch_max_wait_ms=fetch_wait_ms,
        fetch_max_bytes=fetch_bytes_max,
        # Twice as much, of each of six partitions, is memory that goes back to the system after each fetch.
        max_partition_fetch_bytes=min(2 * BATCH_BYTES_MAX, fetch_bytes_max),
        session_timeout_ms=int(session_timeout_seconds * 1000),
        heartbeat_interval_ms=int(session_timeout_seconds * 1000 / 4),
        rebalance_timeout_ms=int(rebalance_timeout_seconds * 1000),
        max_poll_records=poll_records_max,
        request_timeout_ms=10_000 + int(rebalance_timeout_seconds * 1000),
        metadata_max_age_ms=30_000,
        check_crcs=False,
    )


async def create_topics(
    bootstrap_servers: str, topics: Sequence[TopicSpec], *, prefix: str, partitions: int, replication: int
) -> list[str]:
    """Create what is missing; returns the names created. An existing topic is left as it is. Raises TopicProblem if it
    may not be created as asked for, and BrokerUnreachable if the brokers cannot do it now.

    With three replicas or more they are as a production start asks for.
    """
    durability = _PRODUCTION_CONFIG if replication >= _PRODUCTION_REPLICAS else {}
    async with _admin(bootstrap_servers) as admin:
        existing = set(await admin.list_topics())
        created = []
        for topic in topics:
            name = topic.named(prefix)
            if name in existing:
                continue
            answer = await admin.create_topics(
                [NewTopic(name, partitions, replication, topic_configs=topic.broker_config() | durability)]
            )
            for _, error_code, *told in answer.topic_errors:
                if error_code and for_code(error_code) is not TopicAlreadyExistsError:
                    raise _not_created(name, for_code(error_code), *told)
            created.append(name)
        await _wait_visible(admin, created)
        return created


async def check_broker(bootstrap_servers: str) -> None:
    """Raises BrokerUnreachable unless a broker at one of these addresses says which brokers there are."""
    async with _admin(bootstrap_servers):
        pass


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[Any]:
    """A client that asks the brokers; raises BrokerUnreachable for whatever they, or the way to them, fail in."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=10_000)
    try:
        try:
            await admin.start()
        except KafkaConnectionError as error:
            raise BrokerUnreachable(f"no broker answers at {bootstrap_servers}") from error
        yield admin
    except BrokerUnreachable:
        raise
    except (KafkaError, TimeoutError) as error:
        raise BrokerUnreachable(str(error) or type(error).__name__) from error
    finally:
        await admin.close()


def _not_created(name: str, error: type[BrokerResponseError], told: str | None = None) -> TopicProblem:
    if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        advice = "allow it in the ACLs, or have somebody create the topics who may"
        return TopicProblem(f"Kafka refuses Create on {name} ({error.__name__}); {advice}")
    return TopicProblem(f"Kafka refuses Create on {name} ({error.__name__}): {told or error.description}")


async def _wait_visible(admin: Any, names: list[str]) -> None:
    # A broker acknowledges a new topic a moment before it tells clients about it.
    async with asyncio.timeout(_VISIBLE_SECONDS):
        while names:
            described = await admin.describe_topics(names)
            if all(entry["partitions"] and not entry["error_code"] for entry in described):
                return
            await asyncio.sleep(0.05)


async def check_topics(
    bootstrap_servers: str, topics: Sequence[TopicSpec], *, prefix: str, production: bool = False
) -> dict[str, int]:
    """Partition counts by name; raises TopicProblem if a topic is missing, counts differ, or one would do other than
    what it is created for or may not be looked at, and BrokerUnreachable if the brokers cannot tell, such as while they
    start.

    With `production`, also unless every topic has three replicas, two of them in sync to accept a write, and no
    unclean leader election: anything less can lose acknowledged records.
    """
    async with _admin(bootstrap_servers) as admin:
        names = [topic.named(prefix) for topic in topics]
        described = await admin.describe_topics(names)
        for entry in described:
            if for_code(entry["error_code"]) is not UnknownTopicOrPartitionError:
                _raise_failure(entry["error_code"], "Describe", entry["topic"])
        counts = {entry["topic"]: len(entry["partitions"]) for entry in described if not entry["error_code"]}
        missing = [name for name in names if not counts.get(name)]
        if missing:
            raise TopicProblem(f"Create the missing topics with `firstvalue topics`: {', '.join(missing)}")
        if len(set(counts.values())) > 1:
            raise TopicProblem(f"All topics need the same number of partitions, found {counts}")
        found = await _configs(admin, names)
        if production:
            _check_replicas(described)
        for topic, name in zip(topics, names, strict=True):
            try:
                _check_config(name, found[name], topic.broker_config())
                if production:
                    _check_durability(name, found[name])
            except KeyError as error:
                raise TopicProblem(f"{name} cannot be checked: Kafka does not tell {error}") from error
        return counts


def _raise_failure(error_code: int, operation: str, name: str) -> None:
    if not error_code:
        return
    error = for_code(error_code)
    # A broker that is starting knows of a topic and not yet of its leader, which is not the same as a missing topic.
    if error.retriable or error is UnknownError:
        raise error(name)
    raise TopicProblem(
        f"Kafka refuses {operation} on {name} ({error.__name__}); allow it in the ACLs, or correct the name"
    )


def _check_replicas(described: list[dict[str, Any]]) -> None:
    for entry in described:
        if any(len(partition["replicas"]) < _PRODUCTION_REPLICAS for partition in entry["partitions"]):
            raise TopicProblem(f"{entry['topic']} needs replication factor {_PRODUCTION_REPLICAS} in production")


async def _configs(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for answer in await admin.describe_configs(resources):
        for error_code, _, _, name, entries in answer.resources:
            _raise_failure(error_code, "DescribeConfigs", name)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _check_config(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for key, value in wanted.items():
        if key != _FREE_TO_CHOOSE and found[key] != value:
            raise TopicProblem(f"{name} needs {key}={value}; it has {found[key]}")
    if int(found["max.message.bytes"]) < BATCH_BYTES_MAX:
        raise TopicProblem(f"{name} needs max.message.bytes={BATCH_BYTES_MAX} or more, which a batch may have")


def _check_durability(name: str, found: Mapping[str, str]) -> None:
    if int(found["min.insync.replicas"]) < 2 or found["unclean.leader.election.enable"] != "false":
        wanted = " and ".join(f"{key}={value}" for key, value in _PRODUCTION_CONFIG.items())
        raise TopicProblem(f"{name} needs {wanted} in production")
