"""Query parameters that a route does not take are refused: a misspelt filter would otherwise filter nothing."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError


def refuse_unknown_parameters(request: Request) -> None:
    """Raises RequestValidationError, answered 422 `invalid_request`, that names each and what the route takes."""
    if not request.query_params:
        return
    taken = sorted(set(_taken(request.scope["route"].dependant)))
    choice = f"it takes {', '.join(taken)}" if taken else "it takes none"
    unknown = [name for name in request.query_params if name not in taken]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": f"this address has no such parameter; {choice}"} for name in unknown]
        )


def _taken(dependant: Dependant) -> Iterator[str]:
    yield from (one.alias for one in dependant.query_params)
    for part in dependant.dependencies:
        yield from _taken(part)
