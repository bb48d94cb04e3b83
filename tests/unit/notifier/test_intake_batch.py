"""What a batch of signals costs: work that grows with signals does not grow with their endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from schemas.signals import encode
from services.notifier import intake_batch
from services.notifier.backlog import Backlog
from services.notifier.domain.endpoint_limit import ENDPOINTS_MAX
from services.notifier.domain.filters import Filter
from services.notifier.domain.sequence import Progress
from services.notifier.domain.slack import slack_body
from services.notifier.intake_batch import OWED_MAX, RECORDS_MAX, BatchWriter
from services.notifier.metrics import NotifierMetrics
from services.notifier.store.intake import Position, Subscriber
from tests.builders_signals import a_signal
from tests.unit.notifier.test_intake_rules import Record


class Transaction:
    """So many channels, and nothing that is kept but bodies for them."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.bodies: Mapping[str, bytes] = {}

    async def add_messages(self, messages: list[Any]) -> set[str]:
        """All are new."""
        return {message.id for message in messages}

    async def subscribers(self) -> list[Subscriber]:
        """Each wants everything."""
        return [Subscriber(f"ep_{number}", Filter(), True, "slack") for number in range(self.channels)]

    async def counted_before(self, counts: Mapping[Any, int]) -> dict[Any, int]:
        """No digest is near."""
        return dict.fromkeys(counts, 0)

    async def add_slack_bodies(self, bodies: Mapping[str, bytes]) -> None:
        """Keep them."""
        self.bodies = bodies

    async def ignore(self, *given: object) -> None:
        """The rest of what is written."""

    advance = add_deliveries = add_dead_letters = ignore


def writer_to(transaction: Transaction) -> BatchWriter:
    """Its batches are this transaction."""

    @asynccontextmanager
    async def batch() -> AsyncIterator[Transaction]:
        yield transaction

    return BatchWriter(
        store=cast(Any, SimpleNamespace(batch=batch)),
        backlog=Backlog(waiting_max=10),
        metrics=NotifierMetrics(CollectorRegistry()),
        on_committed=lambda: None,
    )


async def test_a_message_for_slack_is_made_once_for_all_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each delivery."""
    made: list[Any] = []

    def counted(signal: Mapping[str, Any]) -> bytes:
        made.append(signal["id"])
        return slack_body(signal)

    monkeypatch.setattr(intake_batch, "slack_body", counted)
    transaction = Transaction(3)
    signals = [a_signal() for _ in range(2)]
    records = {0: [Record(encode(each)) for each in signals]}
    await writer_to(transaction).write({0: Position(7, Progress())}, records)
    assert made == [each.id for each in signals]
    assert set(transaction.bodies) == set(made)


async def test_a_batch_owes_no_more_than_a_transaction_can_write() -> None:
    """However many endpoints want everything; also the first one, before their number is known."""
    transaction = Transaction(3)
    writer = writer_to(transaction)
    assert writer.records_max * ENDPOINTS_MAX <= OWED_MAX
    for channels in (3, 1_000, 0):
        transaction.channels = channels
        await writer.write({0: Position(7, Progress())}, {0: [Record(encode(a_signal()))]})
        assert writer.records_max == min(RECORDS_MAX, OWED_MAX // max(1, channels))


async def test_numbers_are_followed_in_the_ledger_that_their_records_name() -> None:
    """Also those of erased signals; a gap in the new ledger is one although the old one had the number."""
    records = [
        Record(value, (("seq", b"%d" % number), ("ledger_ms", b"%d" % ledger_ms)))
        for value, number, ledger_ms in ((encode(a_signal()), 9, 1), (b"", 2, 5), (b"", 4, 5))
    ]
    after = await writer_to(Transaction(0)).write({0: Position(7, Progress(8))}, {0: records})
    assert after[0].progress == Progress(4, ((3, 3),), ledger_ms=5)
