"""Bugs that earlier drafts of the protocol had, or that a change could bring back; the simulator has to find each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from typing import Any
from uuid import UUID

from services.activation_engine.leases import Leases
from services.activation_engine.partition import AccountCache, Partition
from services.activation_engine.relay import Relay
from services.activation_engine.store import Claim, Commit, StoreUnavailable
from services.notifier.reading import sequence_of
from services.notifier.store.intake import Position
from tests.fakes.memory_store import MemoryStore
from tests.simulator.database import Link
from tests.simulator.engine import EngineParts
from tests.simulator.log import LogRecord
from tests.simulator.notifier import Notifier
from tests.simulator.world import Parts


class NothingCompared(MemoryStore):
    """Whoever commits may, whatever stamp it knows."""

    async def commit(self, commit: Commit) -> None:
        """Take any stamp for the right one."""
        commit.leases = [(self.leases[lease.part].stamp, lease) for _, lease in commit.leases]
        await super().commit(commit)


class EpochsCompared(MemoryStore):
    """The owner's epoch and the next offset are compared; both recur after a failover, as random stamps never do."""

    def __init__(self) -> None:
        super().__init__()
        # What each stamp stands for; known to engines, so that a failover does not forget it.
        self._meanings: dict[UUID, tuple[int, int]] = {}

    async def claim(self, part: int, *, stamp: UUID, owner: str) -> Claim:
        """The next epoch."""
        epoch, _ = self._meaning(part)
        claim = await super().claim(part, stamp=stamp, owner=owner)
        self._meanings[stamp] = epoch + 1, claim.lease.next_offset
        return claim

    async def commit(self, commit: Commit) -> None:
        """Take a stamp for the right one that stands for the same epoch and offset."""
        moves = []
        for known, lease in commit.leases:
            current = self._meaning(lease.part)
            if self._meanings[known] == current:
                known = self.leases[lease.part].stamp
            self._meanings[lease.stamp] = self._meanings.get(known, current)[0], lease.next_offset
            moves.append((known, lease))
        await super().commit(Commit(moves, *_rows(commit)))

    def _meaning(self, part: int) -> tuple[int, int]:
        return self._meanings.get(self.leases[part].stamp, (0, 0))


def _rows(commit: Commit) -> list[Any]:
    return [getattr(commit, each.name) for each in fields(Commit) if each.name != "leases"]


class CachesKept(Leases):
    """Accounts stay in memory over a revocation, and are used again after the next claim."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._parked: dict[int, AccountCache] = {}

    def assign(self, parts: Iterable[int]) -> None:
        """Park first."""
        self._park()
        super().assign(parts)

    async def revoke(self, *, within_seconds: float) -> None:
        """Park first."""
        self._park()
        await super().revoke(within_seconds=within_seconds)

    async def claim(self, parts: Collection[int]) -> list[Partition]:
        """Bring the parked accounts back."""
        running = await super().claim(parts)
        for partition in running:
            partition.accounts = self._parked.pop(partition.part, partition.accounts)
        return running

    def _park(self) -> None:
        self._parked |= {part: partition.accounts for part, partition in self.held.items()}


class HighestNumber(Notifier):
    """The notifier knows a repeat by its number in the ledger, not by its id."""

    async def _read(self, reader: Any, place: Any, position: Position) -> list[LogRecord]:
        records = await super()._read(reader, place, position)
        last = position.progress.last or 0
        fresh = [record for record in records if (sequence_of(record) or 0) > last]
        return fresh or records[-1:]


class PublishedBelieved(Relay):
    """What is in the ledger at a claim is believed to be published."""

    def start(self, part: int, *, acked_seq: int, out_seq: int, ledger_ms: int) -> None:
        """Start at its end."""
        super().start(part, acked_seq=out_seq, out_seq=out_seq, ledger_ms=ledger_ms)


class AnswersGuessed(Link):
    """A commit whose answer was lost is believed to have happened, and a claim makes the stamp that of the memory.
    (Without that claim the next compare-and-set finds out, and nothing is lost but time.)"""

    async def commit(self, commit: Commit) -> None:
        """Go on with what may be in the database."""
        try:
            await self._ask("commit", commit)
        except StoreUnavailable:
            for _, lease in commit.leases:
                await self._ask("claim", lease.part, stamp=lease.stamp, owner="guess")


class NoticesForgotten(MemoryStore):
    """A claim does not tell which signals of erasures still name their account, so the owner before has to have blanked
    them."""

    async def claim(self, part: int, *, stamp: UUID, owner: str) -> Claim:
        """Without them."""
        return replace(await super().claim(part, stamp=stamp, owner=owner), notices=())


class ErasedAtLast(MemoryStore):
    """A transaction erases after it has written, and with the account what it wrote of its return."""

    async def commit(self, commit: Commit) -> None:
        """Write, then erase."""
        await super().commit(commit)
        for one in commit.erasures:
            self._erase(one)


class ErasedKept(AccountCache):
    """An erased account stays in memory."""

    __slots__ = ()

    def drop(self, account_id: str) -> None:
        """Forget nobody."""


class ErasedRemembered(Leases):
    """What was erased goes on where its records come back before the cache has forgotten it."""

    async def claim(self, parts: Collection[int]) -> list[Partition]:
        """With such a cache."""
        running = await super().claim(parts)
        for partition in running:
            partition.accounts = ErasedKept(self._accounts_cached_max)
        return running


PLANTED = {
    "the compare-and-set is skipped": Parts(store=NothingCompared),
    "epoch and offset instead of stamps": Parts(store=EpochsCompared),
    "caches are kept over a revocation": Parts(engine=EngineParts(leases=CachesKept)),
    "the notifier takes only higher numbers": Parts(notifier=HighestNumber),
    "the relay starts at out_seq": Parts(engine=EngineParts(relay=PublishedBelieved)),
    "a commit without an answer is adopted": Parts(engine=EngineParts(link=AnswersGuessed)),
    "a claim forgets what still names the erased": Parts(store=NoticesForgotten),
    "a transaction erases after it has written": Parts(store=ErasedAtLast),
    "an erased account stays in memory": Parts(engine=EngineParts(leases=ErasedRemembered)),
}
