"""Routes below /v1/insights: one answer each about all accounts of a plan, over cohorts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from services.activation_engine.api import insight_documents as documents
from services.activation_engine.api import insight_examples as examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import (
    FILTER_PATTERN,
    LIMIT,
    SEGMENT_UNKNOWN,
    Limit,
    Text,
    answer,
    names_refused,
    shown,
)
from services.activation_engine.domain.instants import parse_instant
from services.activation_engine.insights.adoption import adoption_insight
from services.activation_engine.insights.funnel import funnel_insight
from services.activation_engine.insights.obstacles import obstacles_insight
from services.activation_engine.insights.owners import owners_insight
from services.activation_engine.insights.scope import CohortBy, PlanNotLive, PlanUnclear, Scope, Scopes, Wanted
from services.activation_engine.insights.status import status_insight
from services.activation_engine.insights.surprises import surprises_insight
from services.activation_engine.insights.ttfv import ttfv_insight
from services.activation_engine.reading.event_names import EventNames
from services.runtime.api import problem_responses
from services.runtime.postgres import took_too_long
from services.runtime.problems import Problem

PLAN_UNCLEAR = (400, "plan_unclear", "Name one of the live plans with `plan`: api-product, b2b-saas.")
PLAN_NOT_LIVE = (404, "plan_not_live", "`b2b_saas` is not live. Name one of the live plans with `plan`: b2b-saas.")
_TOO_SLOW = (
    504,
    "insight_too_slow",
    "This took longer than 10 s: ask about fewer accounts, by `started_from`, `segment` or `owner`.",
)
_NO_TIME = (400, "time_invalid", "Write `started_from` and `started_to` as a date, 2026-11-01, or as RFC 3339 time.")

Time = Annotated[str | None, Query(max_length=64, description="A date (UTC) or RFC 3339", examples=["2026-11-01"])]
Insight = Callable[[Scope], Coroutine[Any, Any, dict[str, Any]]]


def insight_routes(*, scopes: Scopes, names: EventNames, may_read: Authenticated) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/insights", tags=["insights"], dependencies=[Depends(may_read)])
    for summary, insight, document, example in (
        ("Count accounts by status", status_insight, documents.StatusInsight, examples.STATUS),
        ("Follow accounts from milestone to milestone", funnel_insight, documents.FunnelInsight, examples.FUNNEL),
        ("Estimate time to first value", ttfv_insight, documents.TtfvInsight, examples.TTFV),
        ("Show how much accounts use", adoption_insight, documents.AdoptionInsight, examples.ADOPTION),
        ("Show what accounts wait for", obstacles_insight, documents.ObstaclesInsight, examples.OBSTACLES),
        ("Compare owners", owners_insight, documents.OwnersInsight, examples.OWNERS),
    ):
        _add(routes, scopes, summary, insight, document, example)
    _add_surprises(routes, names)
    return routes


def _add(
    routes: APIRouter,
    scopes: Scopes,
    summary: str,
    insight: Insight,
    document: type[BaseModel],
    example: dict[str, Any],
) -> None:
    wanted_as = _wanted_by_cohort if "by" in document.model_fields else _wanted

    async def show(wanted: Wanted = Depends(wanted_as)) -> Response:  # noqa: B008 - it differs by route
        async with _opened(scopes, wanted) as scope:
            return answer(await insight(scope))

    name = insight.__name__
    routes.add_api_route(
        f"/{name.removesuffix('_insight')}",
        show,
        name=name,
        summary=summary,
        description=f"{insight.__doc__} Scope `accounts:read`.",
        response_class=Response,
        responses={
            **shown(document, example),
            **problem_responses(PLAN_UNCLEAR, PLAN_NOT_LIVE, SEGMENT_UNKNOWN, _NO_TIME, _TOO_SLOW),
        },
    )


def _add_surprises(routes: APIRouter, names: EventNames) -> None:
    @routes.get(
        "/surprises",
        summary="List frequent events that no plan mentions",
        response_class=Response,
        responses={**shown(documents.Surprises, examples.SURPRISES), **problem_responses()},
    )
    async def surprises_of_all(limit: Limit = LIMIT) -> Response:
        """The most frequent of the event names that no live plan uses, from the catalogue. Scope `accounts:read`."""
        return answer(surprises_insight(await names.all(), limit=limit))


async def _wanted(
    plan: Annotated[
        str | None, Query(pattern=FILTER_PATTERN, max_length=512, description="Default: the only live plan")
    ] = None,
    segment: Text = None,
    owner: Text = None,
    started_from: Time = None,
    started_to: Time = None,
) -> Wanted:
    return Wanted(
        plan=plan,
        segment=segment,
        owner=owner,
        started_from_ms=_instant(started_from),
        started_to_ms=_instant(started_to),
    )


async def _wanted_by_cohort(
    wanted: Annotated[Wanted, Depends(_wanted)],
    by: Annotated[CohortBy, Query(description="What makes a cohort: month (of the start), segment, owner")] = "month",
) -> Wanted:
    return replace(wanted, by=by)


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    found = parse_instant(text)
    if found is None:
        raise Problem(*_NO_TIME)
    return found


@asynccontextmanager
async def _opened(scopes: Scopes, wanted: Wanted) -> AsyncIterator[Scope]:
    try:
        with names_refused():
            async with scopes.open(wanted) as scope:
                yield scope
    except PlanUnclear as error:
        raise Problem(400, "plan_unclear", _choice(error.live)) from error
    except PlanNotLive as error:
        raise Problem(404, "plan_not_live", f"`{wanted.plan}` is not live. {_choice(error.live)}") from error
    except DBAPIError as error:
        if not took_too_long(error):
            raise
        raise Problem(*_TOO_SLOW) from error


def _choice(live: tuple[str, ...]) -> str:
    if not live:
        return "No plan is live: publish one first."
    return f"Name one of the live plans with `plan`: {', '.join(live)}."
