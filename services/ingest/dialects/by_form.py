"""Which dialect takes apart which form of body."""

from __future__ import annotations

from collections.abc import Callable

from services.ingest.dialects import cloudevents, commands, posthog, segment
from services.ingest.dialects.unpacked import Request, Unpacked
from services.ingest.routes import Form

UNPACK: dict[Form, Callable[[bytes, Request], Unpacked]] = {
    Form.SEGMENT_BATCH: segment.unpack_batch,
    Form.SEGMENT_CALL: segment.unpack_call,
    Form.POSTHOG: posthog.unpack,
    Form.CLOUDEVENTS: cloudevents.unpack,
    Form.COMMANDS: commands.unpack,
}
