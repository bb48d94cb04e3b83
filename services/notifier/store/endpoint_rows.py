"""An endpoint as stored: its columns, and how they are read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

# The columns that people set, with the type by which a parameter is cast where the driver cannot guess it.
TERMS: Mapping[str, str | None] = {
    "url": None,
    "description": None,
    "types": "text[]",
    "origins": "text[]",
    "plans": "text[]",
    "segments": "text[]",
    "owners": "text[]",
    "reasons": "text[]",
    "timeout_seconds": None,
    "concurrency_max": None,
    "rate_per_second": "float8",
    "burst": "int",
    "retry_schedule_seconds": "float8[]",
    "delivery_window": "jsonb",
    "header_names": "text[]",
}
FIXED_AT_CREATION: Mapping[str, str | None] = {"format": None, "enabled": None}

COLUMNS = f"""e.id, {", ".join(f"e.{name}" for name in TERMS if name != "delivery_window")}, e.format, e.enabled,
    e.delivery_window::text AS delivery_window, notifier.window_open(e.delivery_window, now()) AS window_open,
    e.disabled_reason, e.revision, e.created_at, e.updated_at, g.failing_since"""
FROM = "notifier.endpoint e JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A subscriber's URL and its terms, as stored; `burst` is set exactly when `rate_per_second` is."""

    id: str
    url: str
    description: str
    format: str
    types: list[str]
    origins: list[str]
    plans: list[str]
    segments: list[str]
    owners: list[str]
    reasons: list[str]
    timeout_seconds: float
    concurrency_max: int
    rate_per_second: float | None
    burst: int | None
    retry_schedule_seconds: list[float] | None
    delivery_window: dict[str, Any] | None
    window_open: bool
    header_names: list[str]
    enabled: bool
    disabled_reason: str | None
    revision: int
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None


def endpoint_of(row: RowMapping) -> Endpoint:
    """The endpoint in a row of COLUMNS."""
    window = row["delivery_window"]
    return Endpoint(**{**dict(row), "delivery_window": None if window is None else json.loads(window)})


def parameters_of(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Terms as parameters of a statement."""
    window = terms.get("delivery_window")
    return {**terms, "delivery_window": json.dumps(window)} if window is not None else dict(terms)


def placeholder(name: str) -> str:
    """The parameter of a column, cast where it needs it."""
    cast = TERMS.get(name)
    return f"CAST(:{name} AS {cast})" if cast else f":{name}"
