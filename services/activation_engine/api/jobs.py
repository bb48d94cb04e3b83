"""Routes of long work: POST /v1/audits starts an audit, /v1/jobs/{id} tells how far a job is and cancels it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response

from schemas.timestamps import to_milliseconds, to_rfc3339
from services.activation_engine.api import operation_examples as examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import answer, shown
from services.activation_engine.api.operation_documents import JobDocument
from services.activation_engine.operations.audit.audit import AUDIT, Audit
from services.activation_engine.operations.job_runner import JobRunner
from services.activation_engine.operations.jobs import AlreadyRunning, Job, JobStore
from services.runtime.access import Principal
from services.runtime.api import problem_responses
from services.runtime.problems import Problem

_UNKNOWN = (404, "job_unknown", "No such job: ended ones are kept for 30 days.")
_RUNNING = (409, "audit_running", "An audit runs already: look at the job in `job`, or cancel it.")

JobId = Annotated[UUID, Path(examples=["0d9c1f5b-7a0e-4e8f-9b3c-2d1a0f9e8d7c"])]


def audit_routes(*, audit: Audit, runner: JobRunner, may_administer: Authenticated) -> APIRouter:
    """The route that starts one."""
    routes = APIRouter(prefix="/v1/audits", tags=["operations"])
    administrator = Depends(may_administer)

    @routes.post(
        "",
        summary="Audit what is stored",
        status_code=202,
        response_class=Response,
        responses={**shown(JobDocument, examples.AUDITING, status=202), **problem_responses(_RUNNING)},
    )
    async def start_audit(caller: Principal = administrator) -> Response:
        """Compare accounts and signals with a fresh fold of the log, partition by partition, beside the engine's work.
        The job's result lists what differs. One runs at a time. Scope `admin`."""
        try:
            job = await runner.start(AUDIT, audit.run, by=caller.key_id)
        except AlreadyRunning as error:
            raise Problem(*_RUNNING, job=str(error.job_id)) from error
        return answer(job_document(job), status=202)

    return routes


def job_routes(*, jobs: JobStore, may_write: Authenticated) -> APIRouter:
    """The routes of any job."""
    routes = APIRouter(prefix="/v1/jobs", tags=["operations"], dependencies=[Depends(may_write)])

    @routes.get(
        "/{job_id}",
        summary="Show a job",
        response_class=Response,
        responses={**shown(JobDocument, examples.AUDITED), **problem_responses(_UNKNOWN)},
    )
    async def show_job(job_id: JobId) -> Response:
        """How far it is, and what came of it. A job whose process is gone is `failed`. Scope `plans:write`."""
        return answer(job_document(_known(await jobs.read(job_id))))

    @routes.delete(
        "/{job_id}",
        summary="Cancel a job",
        response_class=Response,
        responses={**shown(JobDocument, examples.AUDITED), **problem_responses(_UNKNOWN)},
    )
    async def cancel_job(job_id: JobId) -> Response:
        """End it, unless it has ended; what works on it stops within seconds. Scope `plans:write`."""
        return answer(job_document(_known(await jobs.cancel(job_id))))

    return routes


def job_document(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return {
        "id": str(job.id),
        "kind": job.kind,
        "partition": job.part,
        "arguments": job.arguments,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "result": job.result,
        "error": job.error,
        "created_at": to_rfc3339(to_milliseconds(job.created_at)),
        "ended_at": None if job.ended_at is None else to_rfc3339(to_milliseconds(job.ended_at)),
    }


def _known(job: Job | None) -> Job:
    if job is None:
        raise Problem(*_UNKNOWN)
    return job
