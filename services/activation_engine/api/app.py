"""The engine's HTTP API from its collaborators."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.api.account_paths import EncodedAccountPaths
from services.activation_engine.api.accounts import Authenticated, account_routes
from services.activation_engine.api.catalog import catalog_routes
from services.activation_engine.api.dead_letters import dead_letter_routes
from services.activation_engine.api.insights import insight_routes
from services.activation_engine.api.jobs import audit_routes, job_routes
from services.activation_engine.api.partition_verbs import partition_verb_routes
from services.activation_engine.api.partitions import partition_routes
from services.activation_engine.api.plans import plan_routes
from services.activation_engine.api.positions import AppliedPositions
from services.activation_engine.api.signals import signal_routes
from services.activation_engine.insights.scope import Scopes
from services.activation_engine.operations.verbs import Operations
from services.activation_engine.plan_publisher import PlanPublisher
from services.activation_engine.plans.registry import PlanMemory
from services.activation_engine.reading.accounts import AccountReads
from services.activation_engine.reading.event_names import EventNames
from services.activation_engine.reading.ledger import LedgerReads
from services.activation_engine.reading.partitions import PartitionViews, all_progress, next_offsets
from services.activation_engine.reading.shared_read import SharedRead
from services.runtime.access import Scope
from services.runtime.api import new_api
from services.runtime.key_ring import KeyRing, require

_TITLE = "Firstvalue activation engine"
_DESCRIPTION = """Which accounts have reached first value, which have stalled on the way, and why; and the plans that
say what that means. Lists answer `{"data": […], "next": "<cursor>" | null}`. Every error has `code`, `message` and
`request_id`."""
# How old an answer to "is it applied yet?" may be.
_LOOK_SECONDS = 0.02


def new_engine_api(
    *,
    reads: AsyncEngine,
    keys: KeyRing,
    partitions: Callable[[], int],
    operations: Operations,
    adoption_wait_seconds: float = 10.0,
    position_wait_seconds: float = 5.0,
) -> FastAPI:
    """The app. `reads` is a pool apart from the one that applies events; `partitions` tells how many partitions the
    events topic has, 0 while that is not known; the waits are as long as outsiders are told."""
    api = new_api(title=_TITLE, description=_DESCRIPTION)
    may_read = require(keys, Scope.ACCOUNTS_READ)
    ledger = LedgerReads(reads)
    memory = PlanMemory()
    views = PartitionViews(memory)
    accounts, names = AccountReads(reads, views=views, plans=memory), EventNames(reads, views=views)
    applied = AppliedPositions(
        SharedRead(lambda: next_offsets(reads), interval_seconds=_LOOK_SECONDS), wait_seconds=position_wait_seconds
    )
    plans = PlanPublisher(reads, plans=memory, partitions=partitions, adoption_wait_seconds=adoption_wait_seconds)
    api.include_router(account_routes(accounts=accounts, ledger=ledger, applied=applied, may_read=may_read))
    api.include_router(signal_routes(ledger=ledger, may_read=may_read))
    may_write = require(keys, Scope.PLANS_WRITE)
    api.include_router(plan_routes(plans=plans, names=names, may_read=may_read, may_write=may_write))
    api.include_router(job_routes(jobs=operations.jobs, may_write=may_write))
    may_administer = require(keys, Scope.ADMIN)
    api.include_router(partition_routes(read_progress=lambda: all_progress(reads), may_administer=may_administer))
    _include_verbs(api, operations, may_administer)
    api.include_router(catalog_routes(names=names, may_read=may_read))
    api.include_router(insight_routes(scopes=Scopes(reads, plans=memory), names=names, may_read=may_read))
    api.add_middleware(EncodedAccountPaths)
    return api


def _include_verbs(api: FastAPI, operations: Operations, may_administer: Authenticated) -> None:
    api.include_router(
        partition_verb_routes(
            resumes=operations.resumes, republishing=operations.republishing, may_administer=may_administer
        )
    )
    api.include_router(dead_letter_routes(letters=operations.dead_letters, may_administer=may_administer))
    api.include_router(audit_routes(audit=operations.audit, runner=operations.runner, may_administer=may_administer))
