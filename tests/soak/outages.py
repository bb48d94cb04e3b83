"""How Kafka is away: its processes dead, its processes frozen, or some partitions without a leader."""

from __future__ import annotations

import signal

from tests.chaos.violation import require
from tests.soak.brokers import Node
from tests.soak.poisoned import KeptProducer


class Outage:
    """A way for Kafka to be away: `begin` and `mend` by processes, `beside` for as long as it lasts."""

    def __init__(self, name: str, nodes: tuple[Node, ...]) -> None:
        self.name = name
        self.nodes = nodes

    def begin(self) -> None:
        """Both brokers die."""
        for node in self.nodes:
            node.kill()

    def mend(self) -> None:
        """Started again, as their supervisor would."""
        for node in self.nodes:
            node.start()

    async def beside(self) -> None:
        """Nothing else happens."""

    async def after(self) -> None:
        """Nothing is left to look at."""


class Frozen(Outage):
    """Connections stay, and nobody answers on them."""

    def begin(self) -> None:
        """SIGSTOP."""
        for node in self.nodes:
            node.send(signal.SIGSTOP)

    def mend(self) -> None:
        """SIGCONT."""
        for node in self.nodes:
            node.send(signal.SIGCONT)


class Leaderless(Frozen):
    """The partitions of one broker have no leader, as the other one says; a producer that is kept gets stuck by it."""

    def __init__(self, name: str, nodes: tuple[Node, ...], kept: KeptProducer) -> None:
        super().__init__(name, nodes)
        self._kept = kept

    async def beside(self) -> None:
        """It loses a batch."""
        failure = await self._kept.fail()
        require(failure in ("LeaderNotAvailableError", "NotLeaderForPartitionError"), "kept producer:", failure)

    async def after(self) -> None:
        """It would need another producer, as ingest takes one."""
        require(await self._kept.is_poisoned(), "a producer that was kept got over it: nothing was shown")
        await self._kept.stop()
