"""Who is put on the wire next: caps, the global limit, turns."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import replace

from services.notifier.dispatcher import Dispatcher
from services.notifier.domain.endpoint_url import parse_url
from services.notifier.domain.outcome import Priority, Result
from services.notifier.domain.signature import Scheme, SigningKey
from services.notifier.recipients import Unsendable
from services.notifier.sender.request import Recipient
from services.notifier.store.queue import CLAIM_FAST_MAX, CLAIM_MAX, Claimed

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


def claims(endpoint_id: str, count: int, priority: Priority = Priority.FIRST) -> list[Claimed]:
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
            priority=priority,
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
        self.result = Result.HTTP_2XX

    async def deliver(self, delivery: Claimed, to: Recipient | Unsendable) -> Result:
        """Stand in for an attempt."""
        self.order.append(to.id)
        self.now[to.id] += 1
        self.peak[to.id] = max(self.peak[to.id], self.now[to.id])
        self.peak_total = max(self.peak_total, self.now.total())
        await self.release.acquire()
        self.now[to.id] -= 1
        return self.result


async def warmed(dispatcher: Dispatcher, wires: Wires, *endpoints: Recipient) -> None:
    """Let each endpoint show that it copes with as much as it may get."""
    for each in endpoints:
        dispatcher.offer(claims(each.id, 200), {each.id: each})
    for _ in range(200 * len(endpoints)):
        wires.release.release()
    await dispatcher.finish()
    wires.order.clear()
    wires.peak.clear()
    wires.peak_total = 0


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
    assert (wires.peak["a"], wires.peak["c"]) == (3, 1)
    assert 3 < wires.peak["b"] <= 10
    assert 10 < wires.peak_total <= 12
    assert Counter(wires.order) == {"a": 20, "b": 20, "c": 20}
    assert dispatcher.queued() == {}


async def test_endpoints_take_turns() -> None:
    """A long queue of one endpoint does not go before the short one of another."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=4, want_more=lambda: None)
    endpoints = {name: recipient(name, 100) for name in ("long", "short")}
    await warmed(dispatcher, wires, *endpoints.values())
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
    full = recipient("full", 20)
    await warmed(dispatcher, wires, full)
    dispatcher.offer(claims("few", 5), {"few": recipient("few", 1)})
    assert asked == []
    dispatcher.offer(claims("full", CLAIM_MAX), {"full": full}, full={"full"})
    assert asked == [1]
    for _ in range(100):
        wires.release.release()
    await dispatcher.finish()


async def test_fast_endpoints_may_have_more_claimed() -> None:
    """About what one takes in a second, so that a backlog is not held back by claims; a slow one has the least."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=100, want_more=lambda: None)
    fast, slow = recipient("fast", 20), recipient("slow", 20)
    await warmed(dispatcher, wires, fast)
    dispatcher.offer(claims("fast", 1) + claims("slow", 1), {"fast": fast, "slow": slow})
    shares = dispatcher.shares()
    assert shares["slow"] == CLAIM_MAX
    assert CLAIM_MAX < shares["fast"] <= CLAIM_FAST_MAX
    for _ in range(2):
        wires.release.release()
    await dispatcher.finish()


async def test_drain_takes_back_and_abandons() -> None:
    """What has not started is handed back; what is on the wire can be cut off and is named."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=2, want_more=lambda: None)
    await warmed(dispatcher, wires, recipient("a", 10))
    offered = claims("a", 5)
    dispatcher.offer(offered, {"a": recipient("a", 10)})
    await asyncio.sleep(0)
    assert dispatcher.take_back() == offered[2:]
    assert dispatcher.abandon() == offered[:2]
    await dispatcher.finish()
    assert dispatcher.in_flight == 0


async def test_restart_begins_with_one_request_per_endpoint() -> None:
    """No endpoint meets a burst from a process that knows nothing of it."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=100, want_more=lambda: None)
    dispatcher.offer(claims("a", 20), {"a": recipient("a", 10)})
    await asyncio.sleep(0)
    assert wires.now["a"] == 1
    wires.release.release()
    for _ in range(5):
        await asyncio.sleep(0)
    assert wires.now["a"] == 2
    for _ in range(19):
        wires.release.release()
    await dispatcher.finish()


async def test_first_attempts_go_before_retries_before_replays() -> None:
    """Within an endpoint and between endpoints, when not everything can go at once."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=1, want_more=lambda: None)
    endpoints = {name: recipient(name, 10) for name in ("replayed", "retried", "new", "busy")}
    dispatcher.offer(claims("busy", 1), endpoints)
    dispatcher.offer(claims("replayed", 3, Priority.REPLAY), endpoints)
    dispatcher.offer(claims("retried", 3, Priority.RETRY), endpoints)
    dispatcher.offer(claims("retried", 1), endpoints)
    dispatcher.offer(claims("new", 3), endpoints)
    for _ in range(11):
        wires.release.release()
    await dispatcher.finish()
    assert wires.order == ["busy", "retried", *["new"] * 3, *["retried"] * 3, *["replayed"] * 3]


async def test_first_attempts_win_no_turns_for_replays() -> None:
    """However many an endpoint had meanwhile, the replays of another are sent in turn with its own."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=1, want_more=lambda: None)
    endpoints = {name: recipient(name, 10) for name in ("both", "busy", "replayed")}
    dispatcher.offer(claims("busy", 1), endpoints)
    dispatcher.offer([*claims("both", 6, Priority.REPLAY), *claims("replayed", 6, Priority.REPLAY)], endpoints)
    for _ in range(5):
        dispatcher.offer([*claims("both", 1), *claims("busy", 1)], endpoints)
        for _ in range(2):
            wires.release.release()
            for _ in range(5):
                await asyncio.sleep(0)
    wires.order.clear()
    for _ in range(13):
        wires.release.release()
    await dispatcher.finish()
    assert wires.order == ["both", "replayed"] * 6


async def test_a_delivery_that_is_claimed_again_while_it_is_sent_holds_nothing_up() -> None:
    """A lease that ends before the attempt does brings it back here: each has its own permit and its own end."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=10, want_more=lambda: None)
    well = recipient("a", 2)
    await warmed(dispatcher, wires, well)
    first, third = claims("a", 2)
    dispatcher.offer([first, replace(first, claim=2), third], {"a": well})
    await asyncio.sleep(0)
    assert (wires.now["a"], dispatcher.queued()) == (2, {"a": 1})
    for _ in range(3):
        wires.release.release()
        await asyncio.sleep(0)
    await dispatcher.finish()
    assert (wires.order, wires.peak["a"], dispatcher.queued()) == (["a"] * 3, 2, {})


async def test_failing_endpoints_share_half_of_all_permits() -> None:
    """However many of them there are, a healthy endpoint finds the other half free."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=8, want_more=lambda: None)
    bad = {name: recipient(name, 10) for name in (f"bad-{number}" for number in range(20))}
    await warmed(dispatcher, wires, *bad.values())
    wires.result = Result.CONNECT
    for name in bad:
        dispatcher.offer(claims(name, 1), bad)
    for _ in bad:
        wires.release.release()
    await dispatcher.finish()
    wires.now.clear()
    for name in bad:
        dispatcher.offer(claims(name, 10), bad)
    await asyncio.sleep(0)
    assert wires.now.total() == 4
    dispatcher.offer(claims("well", 10), {"well": recipient("well", 10)})
    await asyncio.sleep(0)
    assert wires.now["well"] == 1
    wires.result = Result.HTTP_2XX
    for _ in range(210):
        wires.release.release()
    await dispatcher.finish()
    assert Counter(wires.order)["well"] == 10
    assert sum(count for name, count in Counter(wires.order).items() if name != "well") == 220


async def test_withdrawn_deliveries_are_not_started() -> None:
    """What waits for an endpoint that is left alone now is handed back; others go on."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=10, want_more=lambda: None)
    endpoints = {name: recipient(name, 1) for name in ("closed", "open")}
    offered = claims("closed", 3)
    dispatcher.offer(offered + claims("open", 3), endpoints)
    assert dispatcher.withdraw({"closed", "elsewhere"}) == offered[1:]
    for _ in range(4):
        wires.release.release()
    await dispatcher.finish()
    assert Counter(wires.order) == {"closed": 1, "open": 3}


async def test_the_bytes_of_what_waits_are_known() -> None:
    """However it leaves its lane; what is on the wire waits no more."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=1, want_more=lambda: None)
    endpoints = {name: recipient(name, 1) for name in ("a", "b")}
    dispatcher.offer(claims("a", 4) + claims("b", 3), endpoints)
    assert dispatcher.queued_bytes == 6 * len(b"{}")
    dispatcher.withdraw({"a"})
    assert dispatcher.queued_bytes == 3 * len(b"{}")
    for _ in range(4):
        wires.release.release()
    await dispatcher.finish()
    assert dispatcher.queued_bytes == 0


async def test_endpoints_of_which_nothing_is_left_take_no_share() -> None:
    """What was withdrawn before anything of it was sent makes no room smaller and is in no claim."""
    wires = Wires()
    dispatcher = Dispatcher(wires.deliver, in_flight_max=1, want_more=lambda: None)
    endpoints = {name: recipient(name, 1) for name in ("busy", "closed")}
    dispatcher.offer(claims("busy", 1) + claims("closed", 3), endpoints)
    dispatcher.withdraw({"busy", "closed"})
    assert set(dispatcher.shares()) == {"busy"}
    dispatcher.offer(claims("closed", 1), endpoints)
    for _ in range(2):
        wires.release.release()
    await dispatcher.finish()
    assert wires.order == ["busy", "closed"]
    assert dispatcher.shares() == {}
