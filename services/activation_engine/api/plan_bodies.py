"""Plan files as request bodies: bounded, checked beside the event loop, refused with every error and its line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import Request
from msgspec.structs import asdict

from services.activation_engine.plans.advice import SeenName, advise
from services.activation_engine.plans.loader import CheckedPlan, PlanErrors, load_plan
from services.runtime.problems import Problem

PLAN_INVALID = (
    422,
    "plan_invalid",
    "Correct the plan: b2b-saas.yaml:14:39: there is no milestone `first_dat`.",
)


class PlanBodies:
    """Reads and checks plan files, one at a time."""

    def __init__(self) -> None:
        # Checking is CPU for up to a second, in a thread that shares the interpreter with the event loop.
        self._checking = asyncio.Lock()

    async def checked(self, request: Request, plan: str) -> tuple[CheckedPlan, str]:
        """The valid plan in the body and its text; Problem 422 `plan_invalid` with `errors`."""
        file = _file(plan)
        text = _decoded(await request.body(), file)
        async with self._checking:
            try:
                checked = await asyncio.to_thread(load_plan, text, file=file)
            except PlanErrors as error:
                raise _invalid(error.to_list(), more_follow=error.more_follow) from error
        if checked.plan.id != plan:
            raise _invalid([_other_id(file, plan, checked.plan.id)])
        if not _storable(text, checked.content):
            raise _invalid([_entry(file, "", "invalid_character", "There is a NUL or half a character.", "Delete it.")])
        return checked, text

    async def warnings(self, text: str, plan: str, *, seen: Sequence[SeenName]) -> list[dict[str, Any]]:
        """What is worth a word about the text of a valid plan, given the event names that were sent."""
        async with self._checking:
            return [asdict(one) for one in await asyncio.to_thread(advise, text, file=_file(plan), seen=seen)]


def _file(plan: str) -> str:
    return f"{plan}.yaml"


def _decoded(body: bytes, file: str) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].split(b"\n")
        entry = _entry(file, "", "invalid_encoding", "This byte is not UTF-8.", "Save the file as UTF-8.")
        raise _invalid([{**entry, "line": len(before), "column": len(before[-1]) + 1}]) from error


def _storable(text: str, content: dict[str, Any]) -> bool:
    # PostgreSQL stores neither NUL nor lone surrogates, which YAML escapes can write.
    try:
        written = msgspec.json.encode(content)
    except UnicodeEncodeError:
        return False
    return "\x00" not in text and b"\\u0000" not in written


def _other_id(file: str, expected: str, found: str) -> dict[str, Any]:
    message = f"The file's plan is `{found}`, the address says `{expected}`."
    return _entry(file, "plan", "plan_id_mismatch", message, "Make the two the same.")


def _entry(file: str, path: str, code: str, message: str, hint: str) -> dict[str, Any]:
    return {"file": file, "line": 1, "column": 1, "path": path, "code": code, "message": message, "hint": hint}


def _invalid(errors: list[dict[str, Any]], *, more_follow: bool = False) -> Problem:
    first = errors[0]
    more = f" ({len(errors) - 1} more in `errors`)" if len(errors) > 1 else ""
    message = f"Correct the plan: {first['file']}:{first['line']}:{first['column']}: {first['message']}{more}"
    if not message.endswith("."):
        message += "."
    return Problem(422, "plan_invalid", message, errors=errors, more_follow=more_follow)
