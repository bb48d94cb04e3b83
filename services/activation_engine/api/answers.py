"""How routes answer: JSON written by msgspec, signals spliced in as they were sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response
from pydantic import BaseModel

from services.activation_engine.reading.names import NameUnknown
from services.runtime.cursors import LIMIT_DEFAULT, LIMIT_MAX
from services.runtime.problems import Problem

# PostgreSQL has no text with NUL in it, so such a filter is a mistake of the caller.
FILTER_PATTERN = r"^[^\x00]*$"

SEGMENT_UNKNOWN = (404, "segment_unknown", "`small` is no segment of b2b-saas. Name one of these: enterprise, smb.")
MILESTONE_UNKNOWN = (
    404,
    "milestone_unknown",
    "`first_otput` is no milestone of b2b-saas. Name one of these: first_data, first_output.",
)

Text = Annotated[str | None, Query(pattern=FILTER_PATTERN, max_length=512)]
Cursor = Annotated[str | None, Query(max_length=4096, description="The `next` of the answer before")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows at most")]
LIMIT = LIMIT_DEFAULT


def answer(value: object, *, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def signals_as_sent(payloads: Iterable[bytes]) -> list[msgspec.Raw]:
    """Payloads of the ledger for `answer`."""
    return [msgspec.Raw(payload) for payload in payloads]


@contextmanager
def names_refused() -> Iterator[None]:
    """A segment or milestone that no plan has ends the request with its problem, which says those that there are."""
    try:
        yield
    except NameUnknown as error:
        plans = ", ".join(error.plans) or "any plan, for none is live"
        choice = f"Name one of these: {', '.join(error.known)}." if error.known else "There is none."
        message = f"`{error.name}` is no {error.kind} of {plans}. {choice}"
        raise Problem(404, f"{error.kind}_unknown", message) from error


def shown(model: type[BaseModel], example: Any, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: what success looks like."""
    description = "OK" if status == 200 else "Accepted; it is done beside"
    return {status: {"model": model, "description": description, "content": {"application/json": {"example": example}}}}
