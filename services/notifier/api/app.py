"""The notifier's HTTP API from its collaborators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI

from services.notifier.api.deliveries import delivery_routes
from services.notifier.api.endpoints import EndpointRouteParts, endpoint_routes
from services.notifier.api.replays import replay_routes
from services.notifier.api.signals import SignalRouteParts, signal_routes
from services.notifier.api.vetting import EndpointVetting
from services.notifier.store.deliveries import DeliveryStore
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.replays import ReplayStore
from services.runtime.access import Scope
from services.runtime.api import new_api
from services.runtime.key_ring import KeyRing, require

_DESCRIPTION = """Endpoints that receive signals as signed webhooks (Standard Webhooks 1.0), and what became of every
delivery. Lists answer `{"data": […], "next": "<cursor>" | null}`. Every error has `code`, `message`, `request_id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierApiParts:
    """What the API works with; `wake` tells the claimer that something is due."""

    keys: KeyRing
    endpoints: EndpointStore
    deliveries: DeliveryStore
    replays: ReplayStore
    vetting: EndpointVetting
    wake: Callable[[], None]


def new_notifier_api(parts: NotifierApiParts) -> FastAPI:
    """The app on the public port."""
    api = new_api(title="Firstvalue notifier", description=_DESCRIPTION)
    may_read = require(parts.keys, Scope.WEBHOOKS_READ)
    may_write = require(parts.keys, Scope.WEBHOOKS_WRITE)
    api.include_router(
        endpoint_routes(
            EndpointRouteParts(
                store=parts.endpoints,
                vetting=parts.vetting,
                wake=parts.wake,
                may_read=may_read,
                may_write=may_write,
            )
        )
    )
    api.include_router(
        signal_routes(
            SignalRouteParts(
                endpoints=parts.endpoints,
                deliveries=parts.deliveries,
                wake=parts.wake,
                may_read=may_read,
                may_write=may_write,
            )
        )
    )
    api.include_router(delivery_routes(store=parts.deliveries, wake=parts.wake, may_read=may_read, may_write=may_write))
    api.include_router(
        replay_routes(
            endpoints=parts.endpoints,
            store=parts.replays,
            wake=parts.wake,
            may_read=may_read,
            may_write=may_write,
        )
    )
    return api
