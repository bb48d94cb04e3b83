"""Jobs and dead letters over HTTP, on a real database and without a broker."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.operations.job_runner import JobRunner, Progress
from services.activation_engine.operations.jobs import AlreadyRunning, JobStore
from tests.integration.engine_api.conftest import Api
from tests.waiting import until

NOBODY = UUID("00000000-0000-4000-8000-000000000000")


@pytest.fixture
async def jobs(database: AsyncEngine) -> JobStore:
    """The jobs of an empty database."""
    async with database.begin() as connection:
        await connection.execute(sa.text("TRUNCATE activation.job, activation.dead_letter"))
    return JobStore(database)


_LETTER = sa.text(
    'INSERT INTO activation.dead_letter (part, "offset", reason, detail, key, value, appended_ms)'
    " VALUES (0, :offset, :reason, 'x', :key, :value, 1) RETURNING id"
)


async def letter(database: AsyncEngine, reason: str, *, key: bytes | None, value: bytes | None, offset: int = 1) -> int:
    """The id of a new dead letter."""
    values = {"offset": offset, "reason": reason, "key": key, "value": value}
    async with database.begin() as connection:
        return int(await connection.scalar(_LETTER, values))


async def state_of(api: Api, job_id: UUID | str) -> dict[str, Any]:
    """The job as the API tells it."""
    return dict((await api.http.get(f"/v1/jobs/{job_id}")).json())


async def test_a_job_is_cancelled_by_whichever_replica_is_asked(api: Api, jobs: JobStore) -> None:
    """It shows how far it is; once cancelled, its work stops within seconds and another may start."""
    stopped = asyncio.Event()

    async def work(progress: Progress) -> dict[str, Any]:
        progress.done, progress.total = 3, 10
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return {}

    runner = JobRunner(jobs)
    job = await runner.start("audit", work, by="me")
    with pytest.raises(AlreadyRunning):
        await runner.start("audit", work, by="me")
    refused = await api.http.post("/v1/audits")
    assert (refused.status_code, refused.json()["code"], refused.json()["job"]) == (409, "audit_running", str(job.id))

    async def shown() -> bool:
        return bool((await state_of(api, job.id))["total"] == 10)

    await until(shown, timeout_seconds=10, what="progress is shown")
    cancelled = (await api.http.delete(f"/v1/jobs/{job.id}")).json()
    assert (cancelled["state"], cancelled["done"]) == ("cancelled", 3)
    await asyncio.wait_for(stopped.wait(), 10)
    assert (await state_of(api, job.id))["state"] == "cancelled"
    await runner.start("audit", work, by="me")
    await runner.close()


async def test_a_job_whose_process_died_has_failed(api: Api, jobs: JobStore, database: AsyncEngine) -> None:
    """Silent for half a minute it is shown as failed, and does not stand in the way of the next."""
    job = await jobs.create("audit", state="running", by="me")
    assert (await state_of(api, job.id))["state"] == "running"
    async with database.begin() as connection:
        await connection.execute(sa.text("UPDATE activation.job SET heartbeat_at = now() - interval '31 seconds'"))
    dead = await state_of(api, job.id)
    assert (dead["state"], dead["error"]) == ("failed", "The process that worked on it is gone; start it again.")
    await jobs.create("audit", state="running", by="me")
    assert (await state_of(api, job.id))["state"] == "failed"


async def test_a_job_that_was_stopped_or_broke_says_so(api: Api, jobs: JobStore) -> None:
    """A stop of the process and a broker that is away end in `failed` and a sentence, not in silence."""
    runner = JobRunner(jobs)

    async def forever(progress: Progress) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"done": progress.done}

    job = await runner.start("audit", forever, by="me")
    await asyncio.sleep(0)
    await runner.close()
    assert (await state_of(api, job.id))["state"] == "failed"
    await api.rows.move_lease(0, next_offset=5)
    audit = (await api.http.post("/v1/audits")).json()

    async def failed() -> bool:
        return bool((await state_of(api, audit["id"]))["state"] == "failed")

    await until(failed, timeout_seconds=20, what="the audit has failed")
    assert "went away" in (await state_of(api, audit["id"]))["error"]


async def test_without_a_broker_nothing_is_marked_as_requeued(api: Api, jobs: JobStore, database: AsyncEngine) -> None:
    """503 with Retry-After; a letter too large to show, or empty, is listed all the same."""
    assert jobs
    await letter(database, "not_valid", key=b"k", value=None)
    await letter(database, "not_valid", key=b"k", value=b'"' + b"a" * 20_000 + b'"', offset=2)
    large, empty = (await api.http.get("/v1/dead-letters")).json()["data"]
    assert (large["value"], large["value_bytes"], len(large["value_base64"])) == (None, 20_002, 21_848)
    assert (empty["value"], empty["value_base64"], empty["value_bytes"]) == (None, None, None)
    answer = await api.http.post(f"/v1/dead-letters/{large['id']}/requeue")
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert [row["requeued_at"] for row in (await api.http.get("/v1/dead-letters")).json()["data"]] == [None, None]


async def test_a_letter_that_was_erased_is_not_requeued(api: Api, jobs: JobStore, database: AsyncEngine) -> None:
    """Its place is kept for audits, its record is gone: there is nothing to send again."""
    assert jobs
    letter_id = await letter(database, "wrong_partition", key=None, value=None)
    answer = await api.http.post(f"/v1/dead-letters/{letter_id}/requeue")
    assert (answer.status_code, answer.json()["code"]) == (409, "dead_letter_erased")


async def test_what_cannot_be_meant_is_refused(api: Api) -> None:
    """Unknown jobs, places that are none, words that nobody knows."""
    assert (await api.http.get(f"/v1/jobs/{NOBODY}")).json()["code"] == "job_unknown"
    for body in ({"from": "here", "reason": "x"}, {"from": -1, "reason": "x"}, {"from": True, "reason": "x"}, {}):
        answer = await api.http.post("/v1/partitions/0/resume", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), body
    assert (await api.http.get("/v1/dead-letters?reason=none")).status_code == 422
