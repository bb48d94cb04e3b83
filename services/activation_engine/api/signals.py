"""GET /v1/signals: the ledger as a stream that a reader resumes where it stopped."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from schemas.positions import encode_position
from services.activation_engine.api import examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import LIMIT, Limit, answer, shown, signals_as_sent
from services.activation_engine.api.documents import SignalStream
from services.activation_engine.api.positions import position_or_problem
from services.activation_engine.reading.ledger import LedgerReads
from services.runtime.api import problem_responses

_PLACE_CHARACTERS_MAX = 65_536
_CURSOR = (
    400,
    "cursor_invalid",
    "Use the `next` of an earlier answer as `after`, or leave it out.",
)

# Instead of a cursor: begin with what comes next.
_LATEST = "latest"

Place = Annotated[
    str | None, Query(max_length=_PLACE_CHARACTERS_MAX, description="The `next` of the answer before, or `latest`")
]


def signal_routes(*, ledger: LedgerReads, may_read: Authenticated) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/signals", tags=["signals"], dependencies=[Depends(may_read)])

    @routes.get(
        "",
        summary="Read the stream of signals",
        response_class=Response,
        responses={**shown(SignalStream, examples.STREAM), **problem_responses(_CURSOR)},
    )
    async def read_signals(after: Place = None, cursor: Place = None, limit: Limit = LIMIT) -> Response:
        """Signals of all accounts as they were sent, each exactly once over successive answers, an account's in the
        order of `sequence`. `next` is always given: with empty `data` nothing is left for now. Without `after` it
        begins with the oldest, after `latest` with what comes next. `cursor` is another name of `after`.
        Scope `accounts:read`."""
        place = after if after is not None else cursor
        if place == _LATEST:
            return answer({"data": [], "next": encode_position(await ledger.ends())})
        places = position_or_problem(place, code=_CURSOR[1], message=_CURSOR[2]) if place is not None else {}
        rows = await ledger.stream(places, limit=limit)
        for row in rows:
            places[row.part] = row.seq
        return answer({"data": signals_as_sent(row.payload for row in rows), "next": encode_position(places)})

    return routes
