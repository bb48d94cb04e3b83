"""Routes below /v1/partitions/{n}: letting a stopped partition go on, and sending its signals again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from services.activation_engine.api import operation_examples as examples
from services.activation_engine.api import refusals
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import answer, shown
from services.activation_engine.api.jobs import job_document
from services.activation_engine.api.operation_documents import (
    JobDocument,
    RepublishRequest,
    ResumedDocument,
    ResumeRequest,
)
from services.activation_engine.operations.republishing import Republishing
from services.activation_engine.operations.resumes import Resumed, Resumes
from services.runtime.access import Principal
from services.runtime.api import problem_responses

Part = Annotated[int, Path(ge=0, le=2**31 - 1, examples=[0])]


def partition_verb_routes(*, resumes: Resumes, republishing: Republishing, may_administer: Authenticated) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/partitions", tags=["operations"])
    _add_resume(routes, resumes, may_administer)
    _add_republish(routes, republishing, may_administer)
    return routes


def _add_resume(routes: APIRouter, resumes: Resumes, may_administer: Authenticated) -> None:
    administrator = Depends(may_administer)

    @routes.post(
        "/{part}/resume",
        summary="Let a stopped partition go on",
        response_class=Response,
        responses={
            **shown(ResumedDocument, examples.RESUMED),
            **problem_responses(
                refusals.PARTITION_UNKNOWN,
                refusals.NOT_STOPPED,
                refusals.REASON_DIFFERS,
                refusals.PARTITION_CHANGED,
                refusals.OFFSET_OUTSIDE,
                refusals.BROKER_UNAVAILABLE,
            ),
        },
    )
    async def resume_partition(part: Part, decision: ResumeRequest, caller: Principal = administrator) -> Response:
        """Decide from where a partition goes on whose log is not the one that was applied. The answer says what is
        skipped; that cannot be undone. Scope `admin`."""
        with refusals.refusals():
            resumed = await resumes.resume(part, place=decision.place, reason=decision.reason, by=caller.key_id)
        return answer(_document(resumed))


def _add_republish(routes: APIRouter, republishing: Republishing, may_administer: Authenticated) -> None:
    administrator = Depends(may_administer)

    @routes.post(
        "/{part}/republish",
        summary="Send signals again",
        status_code=202,
        response_class=Response,
        responses={
            **shown(JobDocument, examples.REPUBLISHING, status=202),
            **problem_responses(refusals.PARTITION_UNKNOWN, refusals.RANGE_OUTSIDE),
        },
    )
    async def republish_signals(part: Part, wish: RepublishRequest, caller: Principal = administrator) -> Response:
        """Have the partition's owner publish a range of its signals to Kafka again, such as after that topic lost
        records. Subscribers know a signal by its id, so repeats reach nobody twice. Scope `admin`."""
        with refusals.refusals():
            job = await republishing.wish(part, from_seq=wish.from_seq, to_seq=wish.to_seq, by=caller.key_id)
        return answer(job_document(job), status=202)


def _document(resumed: Resumed) -> dict[str, Any]:
    return {
        "partition": resumed.part,
        "reason": resumed.reason,
        "left_offset": resumed.left_offset,
        "next_offset": resumed.next_offset,
        "log_begin": resumed.bounds.begin,
        "log_end": resumed.bounds.end,
        "skipped": {
            "from_offset": min(resumed.skipped_from, resumed.next_offset),
            "to_offset": resumed.next_offset,
            "count": resumed.skipped_count,
            "certain": resumed.certain,
        },
    }
