"""What a request waits on: how it ends, and what is left of it then."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import pytest

from services.ingest.delivery import BrokerUnavailable, Delivery


async def test_a_delivery_is_done_when_every_part_is() -> None:
    """It knows the furthest offset of each partition."""
    delivery = Delivery()
    delivery.expect(3)
    delivery.acked("a", 0, 5)
    delivery.acked("a", 0, 9)
    assert not delivery.done
    delivery.acked("b", 0, 1)
    await delivery.wait()
    assert delivery.next_offsets == {("a", 0): 9, ("b", 0): 1}


async def test_a_delivery_fails_with_any_part() -> None:
    """Half a request confirmed is a request not confirmed; what comes later changes nothing."""
    delivery = Delivery()
    delivery.expect(2)
    delivery.acked("a", 0, 1)
    delivery.failed(BrokerUnavailable("gone"))
    delivery.acked("a", 0, 2)
    with pytest.raises(BrokerUnavailable):
        await delivery.wait()
    assert delivery.given_up


class Body:
    """What a request holds."""


async def test_a_failure_leaves_nothing_for_the_collector_of_garbage() -> None:
    """That one looks seldom, and bodies may be of megabytes: a failed request must be free at once."""
    held: list[weakref.ref[Body]] = []

    async def request() -> None:
        body = Body()
        held.append(weakref.ref(body))
        delivery = Delivery()
        delivery.expect(1)
        delivery.failed(BrokerUnavailable("gone"))
        await delivery.wait()

    gc.disable()
    try:
        with suppress(BrokerUnavailable):
            await request()
        assert held[0]() is None
    finally:
        gc.enable()
