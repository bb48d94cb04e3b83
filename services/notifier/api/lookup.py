"""Finds the endpoint that a path names."""

from __future__ import annotations

from services.notifier.store.endpoint_rows import Endpoint
from services.notifier.store.endpoints import EndpointStore
from services.runtime.problems import Problem

ENDPOINT_NOT_FOUND = (404, "endpoint_not_found", "There is no such endpoint; list the endpoints to find its id.")


async def existing(store: EndpointStore, endpoint_id: str) -> Endpoint:
    """The endpoint; Problem 404 `endpoint_not_found`."""
    endpoint = None if "\0" in endpoint_id else await store.get(endpoint_id)
    if endpoint is None:
        raise Problem(*ENDPOINT_NOT_FOUND)
    return endpoint
