"""The hot path's front: a thin ASGI app that answers the event and command routes itself and passes on the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.answers import (
    BROKER_UNAVAILABLE,
    refused,
    request_ids,
    retry_after,
    send_answer,
    send_preflight,
    taken,
)
from services.ingest.bodies import ClientGone
from services.ingest.delivery import BrokerUnavailable
from services.ingest.inflight import Hold, InFlight, Overloaded
from services.ingest.intake import Intake, Outcome
from services.ingest.metrics import IngestMetrics
from services.ingest.origins import answer_headers, preflight_headers
from services.ingest.publisher import Publisher
from services.ingest.routes import BOOTSTRAP_PATHS, HOT_ROUTES, READ_PATHS, ROUTE_BY_PATH, Route
from services.runtime.body_limit import OVERLOADED
from services.runtime.key_ring import KeyRing
from services.runtime.problems import DRAINING, Problem

log = structlog.get_logger(__name__)

_CLIENT_GONE = 499
_OTHER_ROUTE = "other"


class _Answer(msgspec.Struct):
    status: int
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()


class Collector:
    """ASGI app in front of `api`."""

    def __init__(
        self,
        *,
        api: ASGIApp,
        ring: KeyRing,
        intake: Intake,
        publisher: Publisher,
        inflight: InFlight,
        metrics: IngestMetrics,
    ) -> None:
        self._api = api
        self._ring = ring
        self._intake = intake
        self._publisher = publisher
        self._inflight = inflight
        self._metrics = metrics
        self._draining = False
        self._request_ids = request_ids()
        for route in HOT_ROUTES:
            metrics.know_route(route.path, "POST")

    def drain(self) -> None:
        """Take no more requests; those under way are finished."""
        self._draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = ROUTE_BY_PATH.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or (scope["method"] == "GET" and scope["path"] in READ_PATHS):
            await self._pass_on(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = next(self._request_ids)
        method, headers = scope["method"], dict(scope["headers"])
        status = _CLIENT_GONE
        try:
            if method == "OPTIONS":
                status = 204
                await send_preflight(send, request_id, preflight_headers(self._ring, headers))
            else:
                answer = await self._answer(route, scope, headers, receive, request_id)
                status = answer.status
                extra = [*answer.headers, *answer_headers(self._ring, headers)]
                await send_answer(send, status, answer.body, request_id, extra)
        except ClientGone:
            pass
        finally:
            self._metrics.count_request(route.path, method, status)
            self._metrics.request_duration.observe(time.perf_counter() - started)

    async def _answer(
        self, route: Route, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, request_id: str
    ) -> _Answer:
        if scope["method"] != "POST":
            message = f"Use POST for {route.path}."
            return _Answer(405, refused("method_not_allowed", message, request_id), [(b"allow", b"POST, OPTIONS")])
        if self._draining:
            return _unavailable(DRAINING, request_id)
        if not self._publisher.available:
            return _unavailable(BROKER_UNAVAILABLE, request_id)
        hold = Hold(self._inflight)
        try:
            return _told(await self._intake.take(route, headers, scope["query_string"], receive, hold), request_id)
        except Problem as problem:
            told = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
            return _Answer(problem.status, refused(problem.code, problem.message, request_id), told)
        except Overloaded:
            return _unavailable(OVERLOADED, request_id)
        except BrokerUnavailable:
            return _unavailable(BROKER_UNAVAILABLE, request_id)
        except ClientGone:
            raise
        except Exception as error:
            log.exception("request_failed", route=route.path, request_id=request_id, error=type(error).__name__)
            message = "Something failed on our side; send the same again, and report the request_id if it persists."
            return _Answer(500, refused("internal_error", message, request_id))
        finally:
            hold.release()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500
        shared: Sequence[tuple[bytes, bytes]] = ()
        if scope["type"] == "http" and scope["path"].startswith(BOOTSTRAP_PATHS):
            headers = dict(scope["headers"])
            if scope["method"] == "OPTIONS":
                allowed = preflight_headers(self._ring, headers, allow=b"GET, OPTIONS")
                await send_preflight(send, next(self._request_ids), allowed)
                return
            shared = answer_headers(self._ring, headers)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *shared]
            await send(message)

        try:
            await self._api(scope, receive, watched)
        finally:
            if scope["type"] == "http":
                # The template of the path, never the path itself: labels stay few.
                template = getattr(scope.get("route"), "path", _OTHER_ROUTE)
                self._metrics.count_request(template, scope["method"], status)


def _told(outcome: Outcome, request_id: str) -> _Answer:
    errors = outcome.errors
    if outcome.accepted:
        return _Answer(200, taken(outcome.accepted, errors, outcome.position))
    if len(errors) == 1:
        code, message = errors[0].code, errors[0].message
    else:
        code, message = "events_rejected", "Correct the events; each was rejected for the reason in `errors`."
    return _Answer(400, refused(code, message, request_id, errors=errors))


def _unavailable(problem: tuple[int, str, str], request_id: str) -> _Answer:
    status, code, message = problem
    return _Answer(status, refused(code, message, request_id), [retry_after()])
