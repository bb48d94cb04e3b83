"""What a topic owes: its records decoded and folded plainly, partition by partition, without the engine's machinery."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from schemas.product_event import decode_product_event, decode_tick
from schemas.timestamps import to_milliseconds
from services.activation_engine.domain.event import Event
from services.activation_engine.domain.plain_fold import Oracle, Tick
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.domain.signals import to_payload


@dataclass(frozen=True, kw_only=True)
class LogRecord:
    """A record of the product-events topic; `append_ms` is the broker's time, `key` None makes it a tick."""

    partition: int
    append_ms: int
    key: bytes | None
    value: bytes


class TopicFold:
    """Reads records in log order per partition; `owed` holds every signal's payload by id, in the order of minting.

    `caused_at_ms` is the `received_at` of the product event that a signal answers, for those that no tick decided;
    `message_ids` counts the records by message id.
    """

    def __init__(self, plans: PlanSet) -> None:
        self.owed: dict[str, dict[str, Any]] = {}
        self.caused_at_ms: dict[str, int] = {}
        self.message_ids: Counter[str] = Counter()
        self.ticks = 0
        self._partitions: defaultdict[int, Oracle] = defaultdict(lambda: Oracle(plans))

    def read(self, records: Iterable[LogRecord]) -> None:
        """Folds records. Raises ValueError (or msgspec's kin of it) on one that the engine would dead-letter."""
        for record in records:
            taken = to_tick(record) if record.key is None else to_event(record)
            # Through JSON, as subscribers see it.
            minted = {
                signal.id: json.loads(json.dumps(to_payload(signal)))
                for signal in self._partitions[record.partition].take(taken)
            }
            self.owed |= minted
            if isinstance(taken, Tick):
                self.ticks += 1
            else:
                self.message_ids[taken.message_id] += 1
                self.caused_at_ms |= dict.fromkeys(minted, taken.received_at_ms)


def to_tick(record: LogRecord) -> Tick:
    """The fold's tick of a record without a key."""
    tick = decode_tick(record.value)
    last_event_at_ms = None if tick.last_event_at is None else to_milliseconds(tick.last_event_at)
    return Tick(record.append_ms, to_milliseconds(tick.sent_at), last_event_at_ms)


def to_event(record: LogRecord) -> Event:
    """The domain's event of a record with a key."""
    decoded = decode_product_event(record.value)
    return Event(
        account_id=decoded.account_id,
        message_id=decoded.message_id,
        type=decoded.type,
        name=decoded.event,
        user_id=decoded.user_id,
        occurred_at_ms=to_milliseconds(decoded.occurred_at),
        received_at_ms=to_milliseconds(decoded.received_at),
        appended_at_ms=record.append_ms,
        staff=decoded.staff,
        role=decoded.role,
        body=decoded.body,
    )
