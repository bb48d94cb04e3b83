"""Values of `product.events.v1`: a product event or command with a small server envelope, and the tick."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

VERSION = 1

RecordType = Literal["track", "identify", "group", "page", "screen", "alias", "command"]


class ProductEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """What ingest puts on Kafka under the key `account_id`.

    `body` is the client's own JSON object, byte for byte. `occurred_at` is the client's time corrected by ingest and
    the only one that milestones use; `original_at` and `sent_at` are as the client sent them. `flags` is a subset of
    `clamped`, `skewed`, `historical`, `no_timestamp`, `no_message_id`. For a command, `event` is the command's name; an
    `identify` has one where software did something by itself, such as PostHog's `$exception`: it shows no use.
    `resolved_by` is what named the account: a place in the event such as `context.groupId`, `group` for a group call,
    `command`, or `user` for what was learned of its user.
    """

    v: int
    source: str
    message_id: str
    type: RecordType
    account_id: str
    received_at: datetime
    occurred_at: datetime
    body: msgspec.Raw
    event: str | None = None
    user_id: str | None = None
    original_at: datetime | None = None
    sent_at: datetime | None = None
    role: str | None = None
    staff: bool = False
    flags: tuple[str, ...] = ()
    traceparent: str | None = None
    resolved_by: str | None = None


class Tick(msgspec.Struct):
    """A record with a null key, sent to every partition: the only thing that moves the engine's clock.

    `last_event_at` is the newest `received_at` of a product event that its sender knows of, over all partitions.
    """

    v: int
    sent_at: datetime
    last_event_at: datetime | None = None


encode = msgspec.json.Encoder().encode
decode_product_event = msgspec.json.Decoder(ProductEvent).decode
decode_tick = msgspec.json.Decoder(Tick).decode
