"""Who is put on the wire next: caps, the global limit, turns."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

from services.notifier.dispatcher import Dispatcher
from services.notifier.domain.endpoint_url import parse_url
from services.notifier.domain.signature import Scheme, SigningKey
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import CLAIM_MAX, Claimed

_numbers = itertools.count(1)


def recipient(endpoint_id: str, cap: int) -> Recipient:
    """An endpoint."""
    return Recipient(
        id=endpoint_id,
        revision=1,
        target=parse_url("https://hooks.example.com/"),
        keys=(SigningKey(Scheme.HMAC_SHA256, bytes(32)),),
        timeout_seconds=15,
        concurrency_max=cap,
    )


def claims(endpoint_id: str, count: int) -> list[Claimed]:
    """Deliveries of one endpoint."""
    return [
        Claimed(
            id=next(_numbers),
            endpoint_id=endpoint_id,
            revision=1,
            claim=1,
            attempts=0,
            failures=0,
            manual=False,
            message_id="m",
            type="account.stalled",
            traceparent=None,
            body=b"{}",
            age_seconds=0,
            claimed_at=0,
        )
        for _ in range(count)
    ]


class Wires:
    """Records what is on the wire; each delivery ends when released."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.peak_total = 0
        self.order: list[str] = []
        self.release = asyncio.Semaphore(0)

    async def deliver(self, delivery: Claimed, to: Recipient | Unsendable) -> None:
        """Stand in for an attempt."""
        self.order.append(to.id)
        self.now[to.id] += 1
        self.peak[to.id] = max(self.peak[to.id], self.now[to.id])
        self.peak_total = max(self.peak_total, self.now.total())
        await self.release.acquire()
        self.now[to.id] -= 1


async def test_caps_and_global_limit_hold() -> None:
    """No endpoint passes its cap, all together not the limit, and everything is delivered once."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=12, want_more=lambda: None)
    endpoints = {name: recipient(name, cap) for name, cap in (("a", 3), ("b", 10), ("c", 1))}
    offered = [claim for name in endpoints for claim in claims(name, 20)]
    dispatcher.offer(offered, endpoints)
    for _ in offered:
        await asyncio.sleep(0)
        wires.release.release()
    await dispatcher.finish()
    assert wires.peak == {"a": 3, "b": 10, "c": 1} or wires.peak["b"] <= 10
    assert wires.peak["a"] <= 3
    assert wires.peak["c"] == 1
    assert wires.peak_total <= 12
    assert Counter(wires.order) == {"a": 20, "b": 20, "c": 20}
    assert dispatcher.queued() == {}


async def test_endpoints_take_turns() -> None:
    """A long queue of one endpoint does not go before the short one of another."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=4, want_more=lambda: None)
    endpoints = {name: recipient(name, 100) for name in ("long", "short")}
    dispatcher.offer(claims("long", 30) + claims("short", 2), endpoints)
    wires.release.release()
    for _ in range(40):
        wires.release.release()
    await dispatcher.finish()
    assert wires.order.index("short") <= 5


async def test_asks_for_more_before_it_runs_dry() -> None:
    """An endpoint whose claim was full asks again at half; one whose claim was not, does not."""
    asked: list[int] = []
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=100, want_more=lambda: asked.append(1))
    dispatcher.offer(claims("few", 5), {"few": recipient("few", 1)})
    assert asked == []
    dispatcher.offer(claims("full", CLAIM_MAX), {"full": recipient("full", 20)})
    assert asked == [1]
    for _ in range(100):
        wires.release.release()
    await dispatcher.finish()


async def test_drain_takes_back_and_abandons() -> None:
    """What has not started is handed back; what is on the wire can be cut off and is named."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=2, want_more=lambda: None)
    offered = claims("a", 5)
    dispatcher.offer(offered, {"a": recipient("a", 10)})
    await asyncio.sleep(0)
    assert dispatcher.take_back() == offered[2:]
    assert dispatcher.abandon() == offered[:2]
    await dispatcher.finish()
    assert dispatcher.in_flight == 0
