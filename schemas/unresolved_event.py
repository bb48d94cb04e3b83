"""Values of `product.events.unresolved.v1`, keyed by user: what the resolver of ingest learns from and decides."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.product_event import RecordType


class UnresolvedEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """Without `account_id`, a product event whose account is not known yet: it waits for its user's account.

    With `account_id`, a lesson about the user, whose event is on `product.events.v1` already and whose `body` is empty
    here: a group call, an identify call, or an event of somebody who was known in another account. A command is an
    `erase` (a copy on every partition) or an `erase_person`. The other fields are those of a product event; `email` is
    what the event says of its user.
    """

    v: int
    source: str
    message_id: str
    type: RecordType
    received_at: datetime
    occurred_at: datetime
    body: msgspec.Raw
    account_id: str | None = None
    event: str | None = None
    user_id: str | None = None
    original_at: datetime | None = None
    sent_at: datetime | None = None
    role: str | None = None
    email: str | None = None
    staff: bool = False
    flags: tuple[str, ...] = ()
    traceparent: str | None = None


decode_unresolved_event = msgspec.json.Decoder(UnresolvedEvent).decode
