"""The fold of an audit lets others have their turn, for it shares the event loop with the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from services.activation_engine.operations.audit.fold import PartitionFold, Start
from services.activation_engine.operations.audit.pacer import Pacer
from services.activation_engine.operations.audit.snapshot import Snapshot
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.job_runner import Progress
from services.activation_engine.store import Adoption
from tests.builders import SMALL_PLAN, START_MS, plan
from tests.fakes.engine_records import record_value, tick_value
from tests.simulator.log import LogRecord

ACCOUNTS = 50
USE: dict[str, Any] = {
    "at_ms": START_MS,
    "type": "track",
    "event": "Data Imported",
    "user_id": "user",
    "staff": False,
    "body": {},
}


class Halts(Pacer):
    """Counts the chances that others are given."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0

    async def rest_if_due(self) -> None:
        """One more."""
        self.given += 1


class Log:
    """A log in memory."""

    def __init__(self, records: list[LogRecord]) -> None:
        self._records = records

    async def read(self, part: int, start: int, end: int) -> AsyncIterator[list[LogRecord]]:
        """One record at a time."""
        for record in self._records[start:end]:
            yield [record]


async def test_a_tick_for_every_account_gives_turns_between_them() -> None:
    """A version that went live lets one tick look at all accounts, of which there may be millions."""
    log = [
        LogRecord(0, number, START_MS, f"a{number}".encode(), record_value(f"a{number}", f"m{number}", **USE))
        for number in range(ACCOUNTS)
    ]
    log.append(LogRecord(0, ACCOUNTS, START_MS + 1_000, None, tick_value(START_MS + 1_000)))
    adoption = Adoption(0, "small", 1, ACCOUNTS, START_MS, "silent")
    snapshot = Snapshot(0, "events", len(log), 0, [adoption], frozenset(), False, False, (), frozenset(), {})
    halts, records = Halts(), cast(EventsLog, Log(log))
    fold = PartitionFold(records, 0, start=Start(), pacer=halts, progress=Progress())
    given = [halts.given async for _ in fold.advance(snapshot, {("small", 1): plan(SMALL_PLAN)})]
    assert len(fold.oracle.accounts) == ACCOUNTS
    # When the version is taken in, and at the tick.
    assert given[-1] - given[-2] > 2 * ACCOUNTS
