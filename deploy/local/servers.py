"""PostgreSQL and Kafka for one data folder: started here, or those that the environment names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.kafka.broker import KafkaBroker
from deploy.local.postgres import PostgresServer
from deploy.local.progress import Progress
from deploy.local.stack import Part, Stack

_PORTS = ("postgres", "kafka", "kafka_controller")


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where PostgreSQL and Kafka are, and those of the two which have to be started."""

    database_url: str
    kafka_bootstrap_servers: str
    parts: tuple[Part, ...]

    @property
    def connection(self) -> dict[str, str]:
        """The two addresses, as `firstvalue up --json` prints them."""
        return {"kafka": self.kafka_bootstrap_servers, "database": self.database_url}


def plan_servers(data: DataFolder, *, jars: Path, environment: Mapping[str, str], progress: Progress) -> Servers:
    """Chooses ports and passwords; starts nothing. DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS name servers that run."""
    ports = data.ports(_PORTS, wanted={})
    postgres = PostgresServer(data=data, port=ports["postgres"], password=data.secrets()["database_password"])
    kafka = KafkaBroker(
        data=data, jars=jars, port=ports["kafka"], controller_port=ports["kafka_controller"], progress=progress.doing
    )
    database_url = environment.get("DATABASE_URL")
    bootstrap = environment.get("KAFKA_BOOTSTRAP_SERVERS")
    parts: list[Part] = []
    if not database_url:
        parts.append(postgres)
    if not bootstrap:
        parts.append(kafka)
    return Servers(
        database_url=database_url or postgres.url,
        kafka_bootstrap_servers=bootstrap or kafka.address,
        parts=tuple(parts),
    )


@contextmanager
def servers_alone(
    data: DataFolder, *, jars: Path, environment: Mapping[str, str], progress: Progress, stopping: Event
) -> Iterator[Stack]:
    """Runs a stack without services, for tests and benchmarks; raises AlreadyRunning when the folder is in use."""
    with data.locked() as lock:
        servers = plan_servers(data, jars=jars, environment=environment, progress=progress)
        stack = Stack(
            data=data,
            lock=lock,
            servers=servers.parts,
            connection=dict(servers.connection),
            progress=progress,
            stopping=stopping,
        )
        with stack:
            yield stack
