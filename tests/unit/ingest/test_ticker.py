"""Ticks: one to each partition that has confirmed the one before, while events are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.product_event import Tick, decode_tick
from services.ingest.delivery import BrokerUnavailable, Delivery, Record
from services.ingest.inflight import Overloaded
from services.ingest.ticker import Ticker
from services.runtime.process import Stopping

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class Log:
    """A publisher that confirms when told to."""

    def __init__(self, *, available: bool = True, full: bool = False) -> None:
        self.available = available
        self.full = full
        self.sent: list[tuple[Record, Delivery]] = []

    def put(self, records: Mapping[str, Sequence[Record]]) -> Delivery:
        if self.full:
            raise Overloaded
        delivery = Delivery()
        delivery.expect(len(records["events"]))
        self.sent += [(one, delivery) for one in records["events"]]
        return delivery


async def partitions_after(log: Log, ticker: Ticker) -> list[int]:
    """Those that a turn sends a tick to."""
    before, stopping = len(log.sent), Stopping()
    stopping.request()
    await asyncio.wait_for(ticker.run(stopping), 5)
    return [record.partition for record, _ in log.sent[before:]]


def ticker_of(log: Log) -> Ticker:
    """Of three partitions."""
    publisher: Any = log
    return Ticker(publisher=publisher, topic="events", partitions=3, tick_seconds=10)


async def test_a_partition_that_has_not_confirmed_gets_no_second_tick() -> None:
    """Else each outage would end with a hundred of them; one that failed is followed by the next."""
    log = Log()
    ticker = ticker_of(log)
    assert await partitions_after(log, ticker) == [0, 1, 2]
    log.sent[0][1].acked("events", 0, 1)
    log.sent[2][1].failed(BrokerUnavailable("not confirmed"))
    assert await partitions_after(log, ticker) == [0, 2]


async def test_no_tick_is_sent_while_no_event_is_taken() -> None:
    """The clock of the engine stands still with the events; nothing is raised for a memory that is full."""
    for log in (Log(available=False), Log(full=True)):
        assert await partitions_after(log, ticker_of(log)) == []


async def test_a_tick_says_when_the_newest_event_came() -> None:
    """Whatever the order in which requests were confirmed; it has no key."""
    log = Log()
    ticker = ticker_of(log)
    for seconds in (5, 7, 6):
        ticker.saw_event(NOW + timedelta(seconds=seconds))
    await partitions_after(log, ticker)
    record, _ = log.sent[0]
    tick: Tick = decode_tick(record.value)
    assert (record.key, tick.last_event_at) == (None, NOW + timedelta(seconds=7))
