"""What a request waits on: how it ends, and what is left of it then."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

from services.ingest.delivery import BrokerUnavailable, Delivery


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
        await delivery.wait(1)

    gc.disable()
    try:
        with suppress(BrokerUnavailable):
            await request()
        assert held[0]() is None
    finally:
        gc.enable()
