"""Kafka brokers that a run may kill, freeze and start again: one that keeps the cluster's books, others beside it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

from deploy.local.data_folder import DataFolder
from deploy.local.kafka.broker import KafkaBroker
from deploy.local.places import jars_path
from deploy.local.processes import Launcher, Process

_READY_SECONDS = 90.0


class _Second(KafkaBroker):
    """Leads partitions, and leaves the books to the first, whose controller's port it is given."""

    def _settings(self) -> dict[str, str]:
        own = {"process.roles": "broker", "node.id": "2", "listeners": f"PLAINTEXT://{self.address}"}
        return super()._settings() | own


class Node:
    """One broker's process, which is another one after each start."""

    def __init__(self, broker: KafkaBroker, launcher: Launcher) -> None:
        self.address = broker.address
        self._broker = broker
        self._launcher = launcher
        self._process: Process | None = None

    def start(self) -> None:
        """Does not wait for it to answer."""
        self._process = self._launcher.start(self._broker.program())

    def wait_ready(self) -> float:
        """The time (monotonic) at which it answered."""
        self._launcher.wait_until(self._broker.is_ready, what=self._broker.name, timeout_seconds=_READY_SECONDS)
        return time.monotonic()

    def send(self, number: signal.Signals) -> None:
        """Any signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """As by kill -9; what it had written stays in the cache of the operating system."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()


@contextmanager
def two_brokers(folder: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes that answer; the first is the only one that groups are coordinated by."""
    data = [DataFolder(folder / f"kafka-{number}") for number in (1, 2)]
    with ExitStack() as held:
        launchers = []
        for one in data:
            launchers.append(Launcher(data=one, stopping=Event(), lock=held.enter_context(one.locked())))
            # Ends what still runs.
            held.callback(launchers[-1].close)
        ports = data[0].ports(("kafka", "kafka_2", "controller"), wanted={})
        brokers = [
            kind(
                data=data[place],
                jars=jars_path(),
                port=ports[name],
                controller_port=ports["controller"],
                progress=lambda _: None,
            )
            for place, (kind, name) in enumerate(((KafkaBroker, "kafka"), (_Second, "kafka_2")))
        ]
        with ThreadPoolExecutor(len(brokers)) as pool:
            list(pool.map(lambda broker, launcher: broker.prepare(launcher), brokers, launchers))
        first, second = (Node(broker, launcher) for broker, launcher in zip(brokers, launchers, strict=True))
        for node in (first, second):
            node.start()
            node.wait_ready()
        yield first, second
