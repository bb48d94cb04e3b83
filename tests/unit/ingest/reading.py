"""Reads a body as ingest would, without a service: every event, or why it was rejected."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from services.ingest.accounts import AccountRules
from services.ingest.dialects.by_form import UNPACK
from services.ingest.dialects.unpacked import Request, Unpacked
from services.ingest.events import IncomingEvent, Rejected
from services.ingest.routes import Form

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def unpacked(form: Form, body: Any, *, type_: str | None = None, headers: dict[str, str] | None = None) -> Unpacked:
    """A body (bytes, or a value for JSON) taken apart; raises BodyInvalid."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    request = Request(type_, given, NOW, lambda _: True, 1000, 65_536, 5_242_880, ("company",))
    return UNPACK[form](raw, request)


def read_all(form: Form, body: Any, **options: Any) -> list[IncomingEvent | Rejected]:
    """Every event of a body."""
    parts = unpacked(form, body, **options)
    results: list[IncomingEvent | Rejected] = []
    for item in parts.items:
        try:
            results.append(parts.read(item))
        except Rejected as rejected:
            results.append(rejected)
    return results


def read_one(form: Form, body: Any, **options: Any) -> IncomingEvent:
    """The only event of a body; raises Rejected."""
    [result] = read_all(form, body, **options)
    if isinstance(result, Rejected):
        raise result
    return result


def account_of(event: IncomingEvent) -> str | None:
    """The account that the event names, by the rules with their defaults."""
    named = AccountRules(group_types=("company",), paths=(("properties", "account_id"),)).named(event)
    return None if named is None else named.account_id
