"""Digests: what is sent one by one, and how the rest is told of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.digests import MEMBERS_MAX, SINGLE_MAX, digest_of, held_back
from tests.unit.notifier.test_slack import check, example

NOW = "2026-11-20T10:00:00Z"


def signals(count: int, **more: Any) -> list[dict[str, Any]]:
    """So many stalled accounts, by number."""
    return [
        example("account.stalled")
        | {"id": f"id-{number}", "account": {"id": f"a{number}"}, "summary": f"a{number} stalled."}
        | more
        for number in range(count)
    ]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_twenty_are_sent_one_by_one_however_they_come(batches: list[int]) -> None:
    """The first twenty of a window, whatever batches it comes in; all the others wait."""
    before = single = 0
    for count in batches:
        single += count - held_back(before=before, count=count)
        before += count
    assert single == min(before, SINGLE_MAX)


@pytest.mark.parametrize("count", [1, 2, 37, MEMBERS_MAX])
def test_a_digest_says_how_many_and_which(count: int) -> None:
    """In words for people, by ids for programs; and it is the same digest for the same signals."""
    digest = digest_of("ep_1", "account.stalled", signals(count), timestamp=NOW)
    body = json.loads(digest.body)
    assert body["digest"] == {"count": count, "signals": [f"id-{number}" for number in range(count)]}
    message = check(digest.slack_body)
    assert message["text"] == f"{count} more: Stalled"
    lines = "\n".join(block["text"]["text"] for block in message["blocks"][1:]).split("\n")
    assert lines == [f"• a{number} stalled." for number in range(count)]
    assert digest_of("ep_1", "account.stalled", signals(count), timestamp=NOW).id == digest.id
    assert digest_of("ep_2", "account.stalled", signals(count), timestamp=NOW).id != digest.id


@given(st.text(min_size=1, max_size=600) | st.sampled_from(["&" * 600, "😀" * 600]), st.integers(1, MEMBERS_MAX))
def test_limits_hold_for_any_names(name: str, count: int) -> None:
    """However long the names are, and whatever signs they are made of."""
    many = signals(count, account={"id": "a", "name": name}, summary=f"{name} stalled.")
    check(digest_of("ep_1", "account.stalled", many, timestamp=NOW).slack_body)
