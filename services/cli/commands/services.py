"""What containers run: one service, the migrations, the creation of topics."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer

from schemas.topics import TOPICS
from services.cli.output import AsJson, Refused, Unreachable, print_answer, print_json, say


class Service(StrEnum):
    """The services by the name that people use."""

    INGEST = "ingest"
    ENGINE = "engine"
    NOTIFIER = "notifier"

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"services.{'activation_engine' if self is Service.ENGINE else self.value}"


# Ingest owns the key table, which the others read.
_MIGRATION_ORDER = (Service.INGEST, Service.ENGINE, Service.NOTIFIER)


def serve(service: Annotated[Service, typer.Argument(help="Which of the three to run.")]) -> None:
    """Run one service in the foreground; SIGTERM drains it."""
    # The service takes this process over, so that signals and the exit status are its own.
    os.execv(sys.executable, [sys.executable, "-m", service.module, "serve"])  # noqa: S606 - no shell is meant


def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database to the version that the services need, before they start."""
    for service in _MIGRATION_ORDER:
        _run(service, "migrate", otherwise=f"The migration of {service} failed; nothing after it was run.")
        if not as_json:
            say(f"{service}: schema is current")
    if as_json:
        print_json({"current": [str(service) for service in _MIGRATION_ORDER]})


def reencrypt(*, as_json: AsJson = False) -> None:
    """Encrypt endpoints' secrets anew with the current FIRSTVALUE_NOTIFIER_SECRET_KEY.

    Those of earlier keys are read by FIRSTVALUE_NOTIFIER_SECRET_KEYS_OLD.
    """
    done = _run(Service.NOTIFIER, "reencrypt", otherwise="Not everything was encrypted anew; see above.")
    print_answer({"message": done}, done, as_json=as_json)


def _run(service: Service, job: str, *, otherwise: str) -> str:
    """What a service's job printed; its standard error is ours. Raises Refused with `otherwise` when it failed."""
    words = [sys.executable, "-m", service.module, job]
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    if done.returncode != 0:
        raise Refused(otherwise)
    return done.stdout.rstrip("\n")


def topics(
    *,
    bootstrap_servers: Annotated[
        str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", help="host:port of one or more brokers, comma-separated.")
    ],
    prefix: Annotated[str, typer.Option(envvar="FIRSTVALUE_TOPIC_PREFIX", help="Put before every name.")] = "",
    partitions: Annotated[
        int, typer.Option(min=1, max=1024, help="Partitions of each topic; cannot be changed once events flow.")
    ] = 6,
    replication: Annotated[int, typer.Option(min=1, max=9, help="Replicas; 3 in production.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Create the Kafka topics that are missing and check those that exist."""
    import asyncio
    import logging

    from services.runtime.kafka import BrokerUnreachable, TopicProblem, check_topics, create_topics

    async def create_and_check() -> tuple[list[str], dict[str, int]]:
        created = await create_topics(
            bootstrap_servers, TOPICS, prefix=prefix, partitions=partitions, replication=replication
        )
        return created, await check_topics(bootstrap_servers, TOPICS, prefix=prefix)

    # What the library says of each address in vain is said once, below.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        created, counts = asyncio.run(create_and_check())
    except BrokerUnreachable as error:
        advice = (
            "check KAFKA_BOOTSTRAP_SERVERS, and that the addresses which its brokers advertise can be reached from here"
        )
        raise Unreachable(f"Kafka at {bootstrap_servers} could not be asked ({error.args[0]}): {advice}.") from error
    except TopicProblem as error:
        raise Refused(str(error)) from error
    if as_json:
        print_json({"created": created, "partitions": counts})
        return
    for name, count in counts.items():
        say(f"{name}: {'created' if name in created else 'exists'}, {count} partitions")
