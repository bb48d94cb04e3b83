"""A private Kafka broker on 127.0.0.1: one KRaft node, broker and controller in one process."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.data_folder import DataFolder
from deploy.local.kafka.jars import fetch_jars, jar_folder
from deploy.local.kafka.java import find_java
from deploy.local.processes import Launcher, Program

_CLUSTER_ID = "Zmlyc3R2YWx1ZS1sb2NhbA"
_JVM_OPTIONS = (
    *("-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:-UsePerfData", "-Djava.awt.headless=true"),
    *("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"),
    *("-Dorg.slf4j.simpleLogger.showThreadName=false", "-Dorg.slf4j.simpleLogger.showShortLogName=true"),
)
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One node: nothing to replicate to, and no other member to wait for when a group forms.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the new broker is let in when the session of the dead one, itself, is over: 9 s unless told.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


@dataclass(frozen=True, kw_only=True)
class KafkaBroker:
    """One broker with its data below the data folder; `address` is known before it runs."""

    data: DataFolder
    jars: Path
    port: int
    controller_port: int
    progress: Callable[[str], None]

    name = "kafka"

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    def prepare(self, launcher: Launcher) -> None:
        """Downloads the jars and formats the storage, each unless done before; writes the settings file."""
        fetch_jars(self.jars, stopping=launcher.stopping, progress=self.progress)
        # Native libraries are unpacked here at every start and would pile up after a crash.
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))
        if not (self._storage / "meta.properties").exists():
            arguments = ("format", "--ignore-formatted", "--cluster-id", _CLUSTER_ID, "--config", str(self._properties))
            launcher.run(self._java("kafka-format", "kafka.tools.StorageTool", *arguments), timeout_seconds=120)

    def program(self) -> Program:
        """The broker itself; SIGTERM is its controlled shutdown."""
        return self._java("kafka", "kafka.Kafka", str(self._properties))

    def is_ready(self) -> bool:
        """True once it answers and can coordinate consumer groups, whose topic this question makes it create."""
        try:
            return asyncio.run(self._finds_coordinator())
        except (OSError, KafkaError):
            return False

    async def _finds_coordinator(self) -> bool:
        # A connection refused is cheap to try; the client would log it as an error.
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()
        await writer.wait_closed()
        client = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=5000)
        await client.start()
        try:
            return await client.find_coordinator("firstvalue-readiness") is not None
        finally:
            await client.close()

    def _settings(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self.controller_port}"
        return _SETTINGS | {
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._storage),
        }

    def _java(self, name: str, main_class: str, *arguments: str) -> Program:
        classes = jar_folder(self.jars) / "*"
        options = (*_JVM_OPTIONS, f"-Djava.io.tmpdir={self._temporary}")
        # Options from outside would be printed at every start and may not fit this Java.
        environment = {key: value for key, value in os.environ.items() if "JAVA_" not in key and "JDK_" not in key}
        command = (str(find_java(os.environ)), *options, "-cp", str(classes), main_class, *arguments)
        return Program(name=name, command=command, environment=environment, folder=self.data.path)

    @property
    def _storage(self) -> Path:
        return self.data.kafka / "storage"

    @property
    def _properties(self) -> Path:
        return self.data.kafka / "server.properties"

    @property
    def _temporary(self) -> Path:
        return self.data.kafka / "tmp"
