"""The notifier's HTTP API from its collaborators."""

from __future__ import annotations

from fastapi import FastAPI

from services.notifier.api.deliveries import delivery_routes
from services.notifier.api.endpoints import endpoint_routes
from services.notifier.api.parts import NotifierApiParts
from services.notifier.api.replays import replay_routes
from services.notifier.api.signals import signal_routes
from services.runtime.api import new_api

_DESCRIPTION = """Endpoints that receive signals as signed webhooks (Standard Webhooks 1.0), and what became of every
delivery. Lists answer `{"data": […], "next": "<cursor>" | null}`. Every error has `code`, `message`, `request_id`."""


def new_notifier_api(parts: NotifierApiParts) -> FastAPI:
    """The app on the public port."""
    api = new_api(title="Firstvalue notifier", description=_DESCRIPTION)
    for routes in (endpoint_routes, signal_routes, delivery_routes, replay_routes):
        api.include_router(routes(parts))
    return api
