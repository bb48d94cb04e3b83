"""Endpoints as they are sent to: of one moment, and not when they are to be left alone."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from services.notifier.domain.signature import Scheme, new_key
from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.secrets import SecretShelf
from tests.notifier_tables import Owed
from tests.running_notifier import query

OLD, NEW = "https://hooks.example.com/", "https://new.example.com/"
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


async def test_no_host_gets_the_headers_of_another(owed: Owed, monkeypatch: pytest.MonkeyPatch) -> None:
    """URL and headers that change together are read together: they may hold a credential of the new host alone."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    await endpoints.update(owed.endpoint_id, {}, headers={"authorization": OLD})
    shelf = SecretShelf(SecretBox(bytes(32)))
    async with owed.engine.begin() as connection:
        await shelf.add_key(connection, owed.endpoint_id, new_key(Scheme.HMAC_SHA256, bytes(32)))
    read = SecretShelf.readable_of

    async def after_a_change(self: SecretShelf, *arguments: Any) -> Any:
        await endpoints.update(owed.endpoint_id, {"url": NEW}, headers={"authorization": NEW})
        return await read(self, *arguments)

    with monkeypatch.context() as between:
        between.setattr(SecretShelf, "readable_of", after_a_change)
        ((endpoint, secrets),) = await endpoints.sendable([owed.endpoint_id])
        assert (endpoint.url, dict(secrets.headers)) == (OLD, {"authorization": OLD})
    ((endpoint, secrets),) = await endpoints.sendable([owed.endpoint_id])
    assert (endpoint.url, dict(secrets.headers)) == (NEW, {"authorization": NEW})


async def test_terms_that_are_so_already_make_no_revision(owed: Owed) -> None:
    """A program may send all of them every minute; what the breaker has seen of an endpoint begins anew with each."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    terms: dict[str, Any] = {
        "url": NEW,
        "types": ["first_value_reached"],
        "rate_per_second": None,
        "retry_schedule_seconds": [1.0, 2.5],
        "delivery_window": {"from": "08:00", "to": "18:00", "time_zone": "UTC", "days": DAYS},
        "timeout_seconds": 5.0,
    }
    revisions = []
    for changes in (terms, terms, {**terms, "timeout_seconds": 6.0}, {"timeout_seconds": 6.0}, {}):
        await endpoints.update(owed.endpoint_id, changes)
        (row,) = await query(owed.servers, "SELECT revision FROM notifier.endpoint")
        revisions.append(row["revision"])
    assert [after - before for before, after in pairwise(revisions)] == [0, 1, 0, 0]


async def test_what_is_claimed_waits_for_the_window_like_what_is_not(owed: Owed) -> None:
    """When an endpoint's quiet hours begin it is left alone, like one whose gate closes: its claims go back unsent."""
    endpoints = EndpointStore(owed.engine, SecretBox(bytes(32)))
    for days, sent_to in ((DAYS, {owed.endpoint_id}), ([], set())):
        window = {"time_zone": "UTC", "days": days, "from": "00:00", "until": "00:00"}
        await query(owed.servers, "UPDATE notifier.endpoint SET delivery_window = $1", json.dumps(window))
        assert set(await endpoints.revisions([owed.endpoint_id])) == sent_to
