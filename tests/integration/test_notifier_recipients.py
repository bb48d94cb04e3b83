"""Endpoints as they are sent to: of one moment, and not when they are to be left alone."""

from __future__ import annotations

import json

from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import EndpointStore
from tests.notifier_tables import Owed
from tests.running_notifier import query

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


async def test_what_is_claimed_waits_for_the_window_like_what_is_not(owed: Owed) -> None:
    """When an endpoint's quiet hours begin it is left alone, like one whose gate closes: its claims go back unsent."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    for days, sent_to in ((DAYS, {owed.endpoint_id}), ([], set())):
        window = {"time_zone": "UTC", "days": days, "from": "00:00", "until": "00:00"}
        await query(owed.servers, "UPDATE notifier.endpoint SET delivery_window = $1", json.dumps(window))
        assert set(await endpoints.revisions([owed.endpoint_id])) == sent_to
