"""The hot routes: which paths the collector answers itself, and what their bodies are."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from services.runtime.access import Scope


class Shape(Enum):
    """What a body holds."""

    BATCH = "batch"
    SINGLE = "single"
    COMMANDS = "commands"


class Route(NamedTuple):
    """A path, its kind of body, the type that its events have, and the scope that a key needs."""

    path: str
    shape: Shape
    type: str | None
    scope: Scope


_BATCHES = ("/v1/batch", "/v1/import")
_SINGLES = ("track", "identify", "group", "page", "screen", "alias")

HOT_ROUTES = (
    *(Route(path, Shape.BATCH, None, Scope.EVENTS_WRITE) for path in _BATCHES),
    *(Route(f"/v1/{type_}", Shape.SINGLE, type_, Scope.EVENTS_WRITE) for type_ in _SINGLES),
    Route("/v1/commands", Shape.COMMANDS, None, Scope.ACCOUNTS_WRITE),
)

# What is only written on these paths is hot; reading them is for the app behind.
READ_PATHS = frozenset({"/v1/events", "/v1/events/"})

ROUTE_BY_PATH = {path: route for route in HOT_ROUTES for path in (route.path, route.path + "/")}
