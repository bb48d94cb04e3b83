"""Bodies of requests and answers about replays, each with an example."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.notifier.domain.outcome import REPLAYABLE

_ENDPOINT_ID = "ep_k7f3a2qwmz4tchj5pv8n"
_REPLAY: dict[str, Any] = {
    "id": "rpl_17",
    "endpoint_id": _ENDPOINT_ID,
    "status": "running",
    "since": "2026-11-20T10:00:00Z",
    "until": "2026-11-21T10:00:00Z",
    "total": 1200,
    "queued": 1000,
    "succeeded": 640,
    "waiting": 355,
    "exhausted": 5,
    "created_at": "2026-11-22T10:00:00Z",
    "finished_at": None,
}

ReplayedStatus = Literal["exhausted", "cancelled", "held", "pending", "succeeded"]


class ReplayRequest(BaseModel):
    """What to send again; all but the window may be left out."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"since": _REPLAY["since"], "until": _REPLAY["until"], "dry_run": True}},
        extra="forbid",
    )

    since: AwareDatetime = Field(description="Deliveries owed from this time on")
    until: AwareDatetime | None = Field(None, description="Deliveries owed before this time; now if left out")
    types: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default_factory=list, max_length=50, description="Signal types; `account.*` is all of a family; all if empty"
    )
    statuses: list[ReplayedStatus] = Field(
        default_factory=lambda: list(REPLAYABLE),  # type: ignore[arg-type]
        min_length=1,
        max_length=5,
        description="States to send from; all but `succeeded` if left out",
    )
    dry_run: bool = Field(False, description="Only count what would be sent")


class ReplayCount(BaseModel):
    """How many deliveries a replay would send now."""

    model_config = ConfigDict(json_schema_extra={"example": {"dry_run": True, "total": 1200}})

    dry_run: Literal[True] = True
    total: int


class ReplayDocument(BaseModel):
    """A replay: of `total` deliveries `queued` were taken up, and those have `succeeded`, are `exhausted` or wait."""

    model_config = ConfigDict(json_schema_extra={"example": _REPLAY})

    id: str
    endpoint_id: str
    status: Literal["running", "completed", "cancelled"]
    since: datetime
    until: datetime
    total: int
    queued: int
    succeeded: int
    waiting: int
    exhausted: int
    created_at: datetime
    finished_at: datetime | None
