"""Replays: send an endpoint again what it was owed, watch how far that is, stop it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from services.notifier.api.parts import ENDPOINT_DISABLED, ENDPOINT_NOT_FOUND, NotifierApiParts
from services.notifier.api.replay_documents import ReplayCount, ReplayDocument, ReplayRequest
from services.notifier.api.vetting import check_types
from services.notifier.store.replays import Replay, ReplayRunning, ReplayStore, Wanted
from services.runtime.api import problem_responses
from services.runtime.problems import Problem

_NOT_FOUND = (404, "replay_not_found", "There is no such replay; its id was in the answer that began it.")
_RUNNING = (409, "replay_running", "A replay to this endpoint is running; wait for its end or cancel it.")
_ENDED = (409, "replay_ended", "The replay has ended; there is nothing to cancel.")
_WINDOW = (422, "window_invalid", "Let `since` be before `until`.")
_ID = re.compile(r"rpl_([0-9]{1,18})")


def replay_routes(parts: NotifierApiParts) -> APIRouter:
    """Begin, show, cancel."""
    store, may_write = parts.replays, Depends(parts.may_write)
    router = APIRouter(tags=["replays"])

    @router.post(
        "/v1/endpoints/{endpoint_id}/replay",
        status_code=202,
        response_model=ReplayDocument,
        dependencies=[may_write],
        responses=problem_responses(ENDPOINT_NOT_FOUND, ENDPOINT_DISABLED, _RUNNING, _WINDOW)
        | {200: {"model": ReplayCount, "description": "The count that `dry_run` asked for"}},
    )
    async def replay_endpoint(endpoint_id: str, request: ReplayRequest) -> ReplayDocument | JSONResponse:
        """Send again what the endpoint was owed: same ids and bytes, fresh timestamps, behind everything else."""
        endpoint = await parts.existing(endpoint_id)
        wanted = _wanted(endpoint.id, request)
        if request.dry_run:
            return JSONResponse(ReplayCount(total=await store.count(wanted)).model_dump())
        try:
            number = await store.create(wanted)
        except ReplayRunning as running:
            replay_id = f"rpl_{running.id}"
            message = f"Replay {replay_id} to this endpoint is running; wait for its end or cancel it."
            raise Problem(409, "replay_running", message, replay_id=replay_id) from None
        if number is None:
            raise Problem(*ENDPOINT_DISABLED)
        parts.wake()
        return await _shown(store, number)

    @router.get(
        "/v1/replays/{replay_id}", dependencies=[Depends(parts.may_read)], responses=problem_responses(_NOT_FOUND)
    )
    async def get_replay(replay_id: str) -> ReplayDocument:
        """How far a replay is."""
        return await _shown(store, _number(replay_id))

    @router.delete(
        "/v1/replays/{replay_id}",
        dependencies=[may_write],
        responses=problem_responses(_NOT_FOUND, _ENDED),
    )
    async def cancel_replay(replay_id: str) -> ReplayDocument:
        """Send nothing more of it; deliveries that were not sent are again what they were before."""
        number = _number(replay_id)
        await _shown(store, number)
        if not await store.cancel(number):
            raise Problem(*_ENDED)
        return await _shown(store, number)

    return router


def _wanted(endpoint_id: str, request: ReplayRequest) -> Wanted:
    until = request.until or datetime.now(UTC)
    if request.since >= until:
        raise Problem(*_WINDOW)
    check_types(request.types)
    return Wanted(
        endpoint_id=endpoint_id,
        since=request.since,
        until=until,
        types=tuple(request.types),
        statuses=tuple(request.statuses),
    )


async def _shown(store: ReplayStore, number: int) -> ReplayDocument:
    replay = await store.get(number)
    if replay is None:
        raise Problem(*_NOT_FOUND)
    return ReplayDocument(**_fields(replay))


def _fields(replay: Replay) -> dict[str, Any]:
    states = replay.by_status
    copied = ("endpoint_id", "status", "since", "until", "total", "queued", "created_at", "finished_at")
    return {
        **{name: getattr(replay, name) for name in copied},
        "id": f"rpl_{replay.id}",
        "succeeded": states.get("succeeded", 0),
        "waiting": states.get("pending", 0) + states.get("leased", 0),
        "exhausted": states.get("exhausted", 0),
    }


def _number(replay_id: str) -> int:
    match = _ID.fullmatch(replay_id)
    if match is None:
        raise Problem(*_NOT_FOUND)
    return int(match[1])
