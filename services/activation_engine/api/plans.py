"""Routes below /v1/plans: publishing and checking plan files, and reading published versions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from schemas.timestamps import to_milliseconds, to_rfc3339
from services.activation_engine.api import examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import LIMIT, Cursor, Limit, answer, shown
from services.activation_engine.api.plan_bodies import PLAN_INVALID, PlanBodies
from services.activation_engine.api.plan_documents import (
    CheckedPlanDocument,
    PlanContentDocument,
    PlanDocument,
    PlanList,
    PublishedPlan,
    RetiredPlan,
)
from services.activation_engine.plan_publisher import AdoptedVersions, PlanPublisher
from services.activation_engine.plans.advice import SeenName
from services.activation_engine.plans.registry import PLANS_MAX, RETIRED, PlanVersion, Policy, TooManyPlans
from services.activation_engine.plans.source import SOURCE_BYTES_MAX
from services.activation_engine.reading.event_names import EventNames
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, decode_cursor, encode_cursor
from services.runtime.problems import Problem

_UNKNOWN = (404, "plan_unknown", "No such plan or version is published; GET /v1/plans lists those that are.")
_TOO_MANY = (409, "too_many_plans", f"{PLANS_MAX} plans are live, which is the limit; retire one first.")

Seen = Callable[[], Awaitable[Sequence[SeenName]]]
PlanId = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$", examples=["b2b-saas"])]
VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[3])]
_YAML_BODY = {
    "requestBody": {
        "required": True,
        "description": f"A plan file, at most {SOURCE_BYTES_MAX} bytes of UTF-8",
        "content": {"application/yaml": {"schema": {"type": "string"}, "example": examples.PLAN_YAML}},
    }
}


def plan_routes(
    *, plans: PlanPublisher, names: EventNames, may_read: Authenticated, may_write: Authenticated
) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/plans", tags=["plans"])
    bodies = PlanBodies()

    async def seen() -> Sequence[SeenName]:
        return [SeenName(one.name, one.silent, one.ago_ms) for one in await names.all()]

    _add_publish(routes, plans, bodies, seen, may_write)
    _add_retire(routes, plans, may_write)
    _add_check(routes, plans, bodies, seen, may_write)
    _add_list(routes, plans, may_read)
    _add_show(routes, plans, may_read)
    return routes


def _add_publish(
    routes: APIRouter, plans: PlanPublisher, bodies: PlanBodies, seen: Seen, may_write: Authenticated
) -> None:
    @routes.put(
        "/{plan}",
        summary="Publish a plan",
        dependencies=[Depends(may_write)],
        response_class=Response,
        responses={
            **shown(PublishedPlan, examples.PUBLISHED),
            **problem_responses(PLAN_INVALID, _TOO_MANY),
        },
        openapi_extra=_YAML_BODY,
    )
    async def publish_plan(
        plan: PlanId,
        request: Request,
        policy: Annotated[
            Policy,
            Query(description="Milestones that accounts had reached before: noted only, or announced"),
        ] = "silent",
    ) -> Response:
        """Make the file the plan's newest version, and answer once every partition has adopted it (after 10 s at most,
        then with `live` false: ask again with the same file). The plan's id in the file must be the one in the path.
        Content that is the newest version already changes nothing. `warnings` are those of the check.
        Scope `plans:write`."""
        checked, source = await bodies.checked(request, plan)
        sent = await seen()
        found = await bodies.warnings(source, plan, seen=sent)
        try:
            published, effect = await plans.publish(checked, source=source, policy=policy, seen=sent)
        except TooManyPlans:
            raise Problem(*_TOO_MANY) from None
        live = await plans.wait_until_live(published.plan, published.version)
        return answer(
            {
                "plan": published.plan,
                "version": published.version,
                "hash": published.hash,
                "changed": published.changed,
                "live": live,
                **asdict(effect),
                "warnings": found,
            }
        )


def _add_retire(routes: APIRouter, plans: PlanPublisher, may_write: Authenticated) -> None:
    @routes.delete(
        "/{plan}",
        summary="Retire a plan",
        dependencies=[Depends(may_write)],
        response_class=Response,
        responses={**shown(RetiredPlan, examples.RETIRED_PLAN), **problem_responses(_UNKNOWN)},
    )
    async def retire_plan(plan: PlanId) -> Response:
        """End the plan: accounts leave it without a signal, and what it tracked alone is forgotten. Its versions stay
        readable, and publishing it again begins anew. Answers once no partition judges by it (after 10 s at most, then
        with `retired` false: ask again). Scope `plans:write`."""
        published = await plans.retire(plan)
        if published is None:
            raise Problem(*_UNKNOWN)
        retired = await plans.wait_until_ended(plan, published.version)
        return answer({"plan": plan, "version": published.version, "changed": published.changed, "retired": retired})


def _add_check(
    routes: APIRouter, plans: PlanPublisher, bodies: PlanBodies, seen: Seen, may_write: Authenticated
) -> None:
    @routes.post(
        "/{plan}/check",
        summary="Check a plan without publishing it",
        dependencies=[Depends(may_write)],
        response_class=Response,
        responses={
            **shown(CheckedPlanDocument, examples.CHECKED),
            **problem_responses(PLAN_INVALID),
        },
        openapi_extra=_YAML_BODY,
    )
    async def check_plan(plan: PlanId, request: Request) -> Response:
        """Whether the file could be published under this id; its errors otherwise. `warnings` forbid nothing: event
        names that nobody ever sent, with the nearest of the catalogue, or that have stopped, and help that comes late.
        The other fields say what publishing it now would do to its accounts. Scope `plans:write`."""
        checked, text = await bodies.checked(request, plan)
        sent = await seen()
        effect = await plans.effect_of(checked.plan, seen=sent)
        about = {"plan": checked.plan.id, "title": checked.title, "hash": checked.hash, "valid": True}
        return answer({**about, **asdict(effect), "warnings": await bodies.warnings(text, plan, seen=sent)})


def _add_list(routes: APIRouter, plans: PlanPublisher, may_read: Authenticated) -> None:
    @routes.get(
        "",
        summary="List plans",
        dependencies=[Depends(may_read)],
        response_class=Response,
        responses={**shown(PlanList, examples.PLANS), **problem_responses(CURSOR_INVALID)},
    )
    async def list_plans(cursor: Cursor = None, limit: Limit = LIMIT) -> Response:
        """Plans by id, each by its newest version. Scope `accounts:read`."""
        after = decode_cursor(cursor, str)[0] if cursor is not None else ""
        found = await plans.newest(after=after, limit=limit + 1)
        following = encode_cursor([found[limit - 1].plan]) if len(found) > limit else None
        adoption = await plans.adoption()
        return answer({"data": [_version(head, adoption) for head in found[:limit]], "next": following})


def _add_show(routes: APIRouter, plans: PlanPublisher, may_read: Authenticated) -> None:
    @routes.get(
        "/{plan}",
        summary="Show a plan",
        dependencies=[Depends(may_read)],
        response_class=Response,
        responses={**shown(PlanDocument, examples.PLAN), **problem_responses(_UNKNOWN)},
    )
    async def show_plan(plan: PlanId) -> Response:
        """The newest version whole, and the list of versions. Scope `accounts:read`."""
        versions = await plans.versions(plan)
        if not versions:
            raise Problem(*_UNKNOWN)
        adoption = await plans.adoption()
        last = next(one for one in versions if one.policy != RETIRED)
        newest = await _content(plans, plan, last.version, adoption)
        newest["live"] &= versions[0].policy != RETIRED
        return answer({**newest, "versions": [_version(head, adoption) for head in versions]})

    @routes.get(
        "/{plan}/versions/{version}",
        summary="Show a version of a plan",
        dependencies=[Depends(may_read)],
        response_class=Response,
        responses={**shown(PlanContentDocument, examples.PLAN_CONTENT), **problem_responses(_UNKNOWN)},
    )
    async def show_plan_version(plan: PlanId, version: VersionNumber) -> Response:
        """One published version, whole; versions never change. Scope `accounts:read`."""
        return answer(await _content(plans, plan, version, await plans.adoption()))


async def _content(plans: PlanPublisher, plan: str, version: int, adoption: AdoptedVersions) -> dict[str, Any]:
    found = await plans.version(plan, version)
    if found is None or found.head.policy == RETIRED:
        raise Problem(*_UNKNOWN)
    return {**_version(found.head, adoption), "content": found.content, "source": found.source}


def _version(head: PlanVersion, adoption: AdoptedVersions) -> dict[str, Any]:
    return {
        "plan": head.plan,
        "title": head.title,
        "version": head.version,
        "hash": head.hash,
        "policy": head.policy,
        "published_at": to_rfc3339(to_milliseconds(head.published_at)),
        "live": head.policy != RETIRED and adoption.everywhere(head.plan, head.version),
    }
