"""GET /v1/partitions: how far the engine is, for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Response

from services.activation_engine.api import examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import answer, shown
from services.activation_engine.api.documents import PartitionList
from services.activation_engine.domain.instants import rfc3339_or_none
from services.activation_engine.reading.partitions import PartitionProgress
from services.runtime.api import problem_responses


def partition_routes(
    *, read_progress: Callable[[], Awaitable[list[PartitionProgress]]], may_administer: Authenticated
) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/partitions", tags=["operations"], dependencies=[Depends(may_administer)])

    @routes.get(
        "",
        summary="List partitions",
        response_class=Response,
        responses={**shown(PartitionList, examples.PARTITIONS), **problem_responses()},
    )
    async def list_partitions() -> Response:
        """Each partition of the events topic: who works on it, how far it is, and why when it is stopped.
        Scope `admin`."""
        return answer({"data": [_document(progress) for progress in await read_progress()], "next": None})

    return routes


def _document(progress: PartitionProgress) -> dict[str, Any]:
    return {
        "partition": progress.part,
        "state": _state(progress),
        "owner": progress.owner,
        "next_offset": progress.next_offset,
        "last_append_at": rfc3339_or_none(progress.last_append_ms),
        "behind_seconds": None if progress.behind_ms is None else round(max(0.0, float(progress.behind_ms)) / 1000, 3),
        "clock": rfc3339_or_none(progress.clock_ms),
        "holding": progress.clock_ms is not None and progress.clock_ms < progress.hold_until_ms,
        "signals": progress.out_seq,
        "unpublished_signals": progress.out_seq - progress.published_seq,
        "problem": progress.stopped,
    }


def _state(progress: PartitionProgress) -> str:
    if progress.stopped is not None:
        return "stopped"
    return "unclaimed" if progress.owner is None else "running"
