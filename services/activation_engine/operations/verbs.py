"""Everything that an operator can ask of the engine, built over its database and its events topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.commit_plan import Outward
from services.activation_engine.operations.audit.audit import Audit
from services.activation_engine.operations.audit.stored import Stored
from services.activation_engine.operations.dead_letters import DeadLetters
from services.activation_engine.operations.events_log import EventsLog
from services.activation_engine.operations.job_runner import JobRunner
from services.activation_engine.operations.jobs import JobStore
from services.activation_engine.operations.republishing import Republishing
from services.activation_engine.operations.resumes import Resumes


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The verbs, and the jobs that the long ones are."""

    dead_letters: DeadLetters
    resumes: Resumes
    republishing: Republishing
    audit: Audit
    jobs: JobStore
    runner: JobRunner


def new_operations(
    engine: AsyncEngine,
    log: EventsLog,
    *,
    outward: Outward,
    show_differences: Callable[[int], None],
) -> Operations:
    """The verbs over `engine`, a pool apart from the one that applies events; `show_differences` is told what each
    audit found."""
    jobs = JobStore(engine)
    return Operations(
        dead_letters=DeadLetters(engine, log),
        resumes=Resumes(engine, log),
        republishing=Republishing(engine, jobs),
        audit=Audit(
            Stored(engine),
            log,
            outward=outward,
            show=show_differences,
        ),
        jobs=jobs,
        runner=JobRunner(jobs),
    )
