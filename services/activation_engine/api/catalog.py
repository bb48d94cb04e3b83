"""GET /v1/catalog: the event names seen, from which people write their plans."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from services.activation_engine.api import insight_examples as examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import FILTER_PATTERN, LIMIT, Cursor, Limit, answer, shown
from services.activation_engine.api.insight_documents import Catalog
from services.activation_engine.domain.instants import rfc3339
from services.activation_engine.reading.event_names import EventName, EventNames
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, decode_cursor, encode_cursor


def catalog_routes(*, names: EventNames, may_read: Authenticated) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/catalog", tags=["insights"], dependencies=[Depends(may_read)])

    @routes.get(
        "",
        summary="List event names",
        response_class=Response,
        responses={**shown(Catalog, examples.CATALOG), **problem_responses(CURSOR_INVALID)},
    )
    async def list_event_names(
        query: Annotated[
            str, Query(pattern=FILTER_PATTERN, max_length=255, description="Part of the name, in whatever case")
        ] = "",
        cursor: Cursor = None,
        limit: Limit = LIMIT,
    ) -> Response:
        """Event names as sent, by name, over all partitions. `silent` are names that a live plan uses and that arrived
        at least daily for a week or more, and then not for three days in which other events came.
        Scope `accounts:read`."""
        after = decode_cursor(cursor, str)[0] if cursor is not None else ""
        found = await names.page(query=query, after=after, limit=limit + 1)
        following = encode_cursor([found[limit - 1].name]) if len(found) > limit else None
        return answer({"data": [_row(one) for one in found[:limit]], "next": following})

    return routes


def _row(seen: EventName) -> dict[str, Any]:
    return {
        "name": seen.name,
        "count": seen.count,
        "first_seen_at": rfc3339(seen.first_seen_ms),
        "last_seen_at": rfc3339(seen.last_seen_ms),
        "used_by": seen.used_by,
        "silent": seen.silent,
    }
