"""The hot routes: which paths the collector answers itself, and what their bodies are."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from services.runtime.access import Scope


class Form(Enum):
    """What a body holds, and in whose words."""

    SEGMENT_BATCH = "segment_batch"
    SEGMENT_CALL = "segment_call"
    POSTHOG = "posthog"
    CLOUDEVENTS = "cloudevents"
    COMMANDS = "commands"


class Route(NamedTuple):
    """A path, the form of its bodies, the type that its events have if the path says so, and the scope of its keys."""

    path: str
    form: Form
    type: str | None = None
    scope: Scope = Scope.EVENTS_WRITE


_CALLS = ("track", "identify", "group", "page", "screen", "alias")
# analytics-next and analytics.js shorten the names; RudderStack has a path of its own for navigator.sendBeacon.
_BATCHES = ("/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch")
_POSTHOG = ("/batch", "/capture", "/e", "/i/v0/e")

HOT_ROUTES = (
    *(Route(path, Form.SEGMENT_BATCH) for path in _BATCHES),
    *(Route(f"/v1/{name}", Form.SEGMENT_CALL, type_) for type_ in _CALLS for name in (type_, type_[0])),
    *(Route(path, Form.POSTHOG) for path in _POSTHOG),
    Route("/v1/events", Form.CLOUDEVENTS),
    Route("/v1/commands", Form.COMMANDS, scope=Scope.ACCOUNTS_WRITE),
)

# What is only written on these paths is hot; reading them is for the app behind.
READ_PATHS = frozenset({"/v1/events", "/v1/events/"})

# Read by pages before they send; the app behind answers them, and browsers are let read what it says.
BOOTSTRAP_PATHS = ("/v1/projects/", "/sourceConfig")

ROUTE_BY_PATH = {path: route for route in HOT_ROUTES for path in (route.path, route.path + "/")}
