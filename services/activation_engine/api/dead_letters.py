"""Routes below /v1/dead-letters: what the engine could not apply, and sending it through the log again."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response

from schemas.timestamps import to_milliseconds, to_rfc3339
from services.activation_engine.api import operation_examples as examples
from services.activation_engine.api.accounts import Authenticated
from services.activation_engine.api.answers import LIMIT, Cursor, Limit, answer, shown
from services.activation_engine.api.operation_documents import DeadLetterList, RequeuedDocument
from services.activation_engine.api.refusals import (
    BROKER_UNAVAILABLE,
    DEAD_LETTER_ERASED,
    DEAD_LETTER_UNKNOWN,
    refusals,
)
from services.activation_engine.decoder import Reason
from services.activation_engine.operations.dead_letters import DeadLetterRow, DeadLetters
from services.runtime.api import problem_responses
from services.runtime.cursors import CURSOR_INVALID, decode_cursor, encode_cursor

_ID_MAX = 2**63 - 1

LetterId = Annotated[int, Path(ge=1, le=_ID_MAX, examples=[7])]
Part = Annotated[int | None, Query(ge=0, le=2**31 - 1, description="Of this partition only")]


def dead_letter_routes(*, letters: DeadLetters, may_administer: Authenticated) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1/dead-letters", tags=["operations"], dependencies=[Depends(may_administer)])

    @routes.get(
        "",
        summary="List dead letters",
        response_class=Response,
        responses={**shown(DeadLetterList, examples.DEAD_LETTERS), **problem_responses(CURSOR_INVALID)},
    )
    async def list_dead_letters(
        part: Part = None, reason: Reason | None = None, cursor: Cursor = None, limit: Limit = LIMIT
    ) -> Response:
        """Records that can never be applied as they are, newest first, with the reason. Scope `admin`."""
        before = decode_cursor(cursor, int)[0] if cursor is not None else _ID_MAX
        found = await letters.page(part=part, reason=reason, before=before, limit=limit + 1)
        following = encode_cursor([found[limit - 1].id]) if len(found) > limit else None
        return answer({"data": [_document(row) for row in found[:limit]], "next": following})

    @routes.post(
        "/{letter_id}/requeue",
        summary="Requeue a dead letter",
        response_class=Response,
        responses={
            **shown(RequeuedDocument, examples.REQUEUED),
            **problem_responses(DEAD_LETTER_UNKNOWN, DEAD_LETTER_ERASED, BROKER_UNAVAILABLE),
        },
    )
    async def requeue_dead_letter(
        letter_id: LetterId,
        again: Annotated[bool, Query(description="Append it once more, though it was requeued before")] = False,
    ) -> Response:
        """Append the record to its partition as it was, once the cause is removed, such as by a newer release. A
        second call appends nothing and answers when and where it was, with `changed` false, unless `again`.
        Scope `admin`."""
        with refusals():
            done = await letters.requeue(letter_id, again=again)
        return answer(
            {
                "id": done.id,
                "partition": done.part,
                "requeued_at": to_rfc3339(to_milliseconds(done.requeued_at)),
                "requeued_offset": done.requeued_offset,
                "changed": done.changed,
            }
        )

    return routes


def _document(row: DeadLetterRow) -> dict[str, Any]:
    key = _text(row.key)
    value = _json(row.value) if row.value is not None and len(row.value) == row.value_bytes else None
    return {
        "id": row.id,
        "partition": row.part,
        "offset": row.offset,
        "reason": row.reason,
        "detail": row.detail,
        "key": key,
        "key_base64": _base64(row.key) if key is None else None,
        "value": value,
        "value_base64": _base64(row.value) if value is None else None,
        "value_bytes": row.value_bytes,
        "appended_at": to_rfc3339(row.appended_ms),
        "recorded_at": to_rfc3339(to_milliseconds(row.recorded_at)),
        "requeued_at": None if row.requeued_at is None else to_rfc3339(to_milliseconds(row.requeued_at)),
        "requeued_offset": row.requeued_offset,
    }


def _text(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None


def _json(value: bytes) -> msgspec.Raw | None:
    """The value as it is, if it is JSON."""
    try:
        value.decode()
        msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.Raw(value)


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
