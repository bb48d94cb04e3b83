"""The end of a Kafka producer: the library's own waits without limit for a broker that is gone, and has no second try.

What it leaves when it is given up would hold its connections, and try to send, for as long as the process lives.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.errors import ProducerClosed

from services.runtime.bounded import ended

# A connection that is being made has the request's five seconds, and as many for its first request.
_SENDER_SECONDS = 10.0
_CLOSE_SECONDS = 2.0


async def stop_producer(producer: Any, *, within_seconds: float) -> None:
    """Deliver what it has and end it; what it cannot deliver in time fails with ProducerClosed, a KafkaError."""
    if not await ended(producer.stop(), seconds=within_seconds):
        await abandon_producer(producer)


async def abandon_producer(producer: Any) -> None:
    """Take a producer apart that may never get an answer again, in the order that leaves nothing running.

    Its requests first, for which the sending task waits; then that task, else it would touch batches that were failed;
    then its batches, for which a stop that was begun may wait; last a connection that was just being made.
    """
    client, sender = producer.client, producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    # What it connects to from now on fails at once.
    client._request_timeout_ms = 0
    for connection in client._conns.values():
        if connection.connected():
            # A close would wait until a broker that hangs has taken what was written.
            connection._writer.transport.abort()
    await ended(client.close(), seconds=_CLOSE_SECONDS)
    # Nobody asks for metadata any more, and what failed waits for it before its next try.
    client.force_metadata_update()
    client._md_update_fut.set_result(False)
    if sender is not None:
        await asyncio.wait({sender}, timeout=_SENDER_SECONDS)
    accumulator = producer._message_accumulator
    # What waits for another try has to be among these when it ends, else its own callback fails.
    accumulator._pending_batches = accumulator._pending_batches.union(*accumulator._batches.values())
    accumulator.fail_all(ProducerClosed())
    producer._closed = True
    await ended(client.close(), seconds=_CLOSE_SECONDS)
