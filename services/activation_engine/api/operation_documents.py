"""What the operator's routes take and answer, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_CURSOR = "Send it as `cursor` for what follows; null at the end"
_TIME = "RFC 3339, UTC"
_NUMBER_MAX = 2**63 - 1

Offset = Annotated[int, Field(strict=True, ge=0, le=_NUMBER_MAX)]


class DeadLetterDocument(BaseModel):
    """A record that can never be applied as it is."""

    id: int
    partition: int
    offset: int
    reason: str
    detail: str = Field(description="One sentence for the operator")
    key: str | None = Field(description="The account, when the key is UTF-8")
    key_base64: str | None = Field(description="The key otherwise")
    value: Any = Field(description="The value, when it is JSON and not too large to show")
    value_base64: str | None = Field(description="Otherwise its first 16 KiB")
    value_bytes: int | None = Field(description="How large the value is")
    appended_at: str = Field(description=_TIME)
    recorded_at: str = Field(description=_TIME)
    requeued_at: str | None = Field(description="When it was last sent through the log again; " + _TIME)
    requeued_offset: int | None


class DeadLetterList(BaseModel):
    """A page of dead letters, newest first."""

    data: list[DeadLetterDocument]
    next: str | None = Field(description=_CURSOR)


class RequeuedDocument(BaseModel):
    """Where the record lies in the log again."""

    id: int
    partition: int
    requeued_at: str = Field(description=_TIME)
    requeued_offset: int
    changed: bool = Field(description="False: it was requeued before, and nothing was appended now")


class ResumeRequest(BaseModel):
    """A decision about a stopped partition."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"from": "earliest", "reason": "records_expired"}}
    )

    place: Literal["earliest", "latest"] | Offset = Field(
        alias="from", description="The oldest record that is kept, the end of the log, or an offset"
    )
    reason: str = Field(
        min_length=1, max_length=100, description="`problem` of the partition: what the decision is about"
    )


class SkippedDocument(BaseModel):
    """Offsets that are not applied, from the first to before the last."""

    from_offset: int
    to_offset: int
    count: int
    certain: bool = Field(description="False: some of them may have been applied before the log lost its tail")


class ResumedDocument(BaseModel):
    """What was decided. Its owner goes on within seconds, after another look at the log."""

    partition: int
    reason: str
    left_offset: int = Field(description="What was to be applied next when it stopped")
    next_offset: int = Field(description="What is applied next")
    log_begin: int
    log_end: int
    skipped: SkippedDocument


class RepublishRequest(BaseModel):
    """Which signals of the partition to send again, by their numbers."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"from_seq": 10, "to_seq": 25}})

    from_seq: int = Field(ge=1, le=_NUMBER_MAX)
    to_seq: int | None = Field(None, ge=1, le=_NUMBER_MAX, description="The newest, if left out")


class JobDocument(BaseModel):
    """Long work. Any replica answers about it."""

    id: str
    kind: str
    partition: int | None
    arguments: dict[str, Any]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int = Field(description="Steps done so far")
    total: int | None = Field(description="Of so many; null while that is not known")
    result: Any = Field(description="What came of it; null until it is done, and once something it names was erased")
    error: str | None = Field(description="Why it failed, and what to do")
    created_at: str = Field(description=_TIME)
    ended_at: str | None = Field(description=_TIME)
