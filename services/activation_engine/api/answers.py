"""How routes answer: JSON written by msgspec, signals spliced in as they were sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response
from pydantic import BaseModel

from services.runtime.cursors import LIMIT_DEFAULT, LIMIT_MAX

# PostgreSQL has no text with NUL in it, so such a filter is a mistake of the caller.
FILTER_PATTERN = r"^[^\x00]*$"

Cursor = Annotated[str | None, Query(max_length=4096, description="The `next` of the answer before")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows at most")]
LIMIT = LIMIT_DEFAULT


def answer(value: object, *, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def signals_as_sent(payloads: Iterable[bytes]) -> list[msgspec.Raw]:
    """Payloads of the ledger for `answer`; those that erasure has blanked are left out."""
    return [msgspec.Raw(payload) for payload in payloads if payload]


def shown(model: type[BaseModel], example: Any, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: what success looks like."""
    description = "OK" if status == 200 else "Accepted; it is done beside"
    return {status: {"model": model, "description": description, "content": {"application/json": {"example": example}}}}
