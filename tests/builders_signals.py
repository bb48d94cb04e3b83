"""Signals as the engine publishes them, and their way onto the topic, for tests of what reads them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.signals import SEQUENCE_HEADER, AccountRef, Evidence, MilestoneRef, PlanRef, Signal, StatusChange, encode
from services.runtime.kafka import new_producer


def a_signal(
    *,
    account_id: str = "acme",
    type: str = "account.stalled",  # noqa: A002 - the field's own name
    sequence: int = 1,
    id: str | None = None,  # noqa: A002 - as above
    **more: Any,
) -> Signal:
    """A valid signal; each call mints a new id unless one is given."""
    return Signal(
        type=type,
        id=id or str(uuid.uuid4()),
        timestamp=datetime(2026, 11, 20, 10, tzinfo=UTC),
        summary=f"{account_id} stalled: First output is 7 days overdue.",
        account=AccountRef(id=account_id, name=account_id.title(), segment="smb", owner="dana@vendor.example"),
        plan=PlanRef(id="b2b-saas", version=3),
        milestone=MilestoneRef(id="first_output", title="First output"),
        status=StatusChange(from_="at_risk", to="stalled"),
        reason="milestone_overdue",
        evidence=Evidence(rule="first_output due week 4", measured=0, threshold=1),
        sequence=sequence,
        **more,
    )


class SignalPublisher:
    """Puts signals onto a topic as the engine's relay does: explicit partition, gapless `seq` header per partition."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: Any = None
        self._topic = topic
        self._last: dict[int, int] = {}

    async def __aenter__(self) -> SignalPublisher:
        self._producer = new_producer(self._bootstrap_servers, client_id="test-relay")
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def publish(self, signals: Sequence[Signal], *, partition: int = 0) -> None:
        """Send in order and wait for the broker."""
        for signal in signals:
            self._last[partition] = self._last.get(partition, 0) + 1
            await self.publish_raw(
                encode(signal), seq=self._last[partition], partition=partition, key=signal.account.id, wait=False
            )
        await self._producer.flush()

    async def publish_raw(
        self, value: bytes | None, *, seq: int | None, partition: int = 0, key: str = "acme", wait: bool = True
    ) -> None:
        """Send any value under any sequence number."""
        headers = [] if seq is None else [(SEQUENCE_HEADER, str(seq).encode())]
        await self._producer.send(self._topic, value, key=key.encode(), partition=partition, headers=headers)
        if seq is not None:
            self._last[partition] = max(self._last.get(partition, 0), seq)
        if wait:
            await self._producer.flush()
