"""GET /v1/catalog and what follows from it: names over all partitions, silence by log time, surprises."""

from __future__ import annotations

from typing import Any

import pytest

from services.activation_engine.api.insight_documents import Catalog, Surprises
from tests.integration.engine_api.conftest import Api
from tests.integration.engine_api.partition_rows import DAY_MS, PLAN_TEXT, START_MS


async def listed(api: Api, **parameters: str | int) -> list[dict[str, Any]]:
    """The rows of the first page."""
    answer = await api.http.get("/v1/catalog", params=parameters)
    assert answer.status_code == 200
    Catalog.model_validate(answer.json())
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def silent(api: Api) -> list[str]:
    """The names that have gone silent."""
    return [row["name"] for row in await listed(api) if row["silent"]]


async def test_names_are_added_up_over_partitions(api: Api) -> None:
    """Counts are sums, first and last are the earliest and the latest, and plans that use a name are named."""
    await api.rows.publish()
    await api.rows.note_name("data.ingested", 3, first=2, last=5)
    await api.rows.note_name("data.ingested", 4, first=1, last=4, part=2)
    await api.rows.note_name("Page Opened", 9, first=0, last=5)
    assert await listed(api) == [
        {
            "name": "Page Opened",
            "count": 9,
            "first_seen_at": "2026-01-01T00:00:00Z",
            "last_seen_at": "2026-01-06T00:00:00Z",
            "used_by": [],
            "silent": False,
        },
        {
            "name": "data.ingested",
            "count": 7,
            "first_seen_at": "2026-01-02T00:00:00Z",
            "last_seen_at": "2026-01-06T00:00:00Z",
            "used_by": ["b2b-saas"],
            "silent": False,
        },
    ]


async def test_prefixes_use_names_and_every_event_mentions_none(api: Api) -> None:
    """`report.*` uses what begins so; `*` is about no name in particular."""
    await api.rows.publish(
        PLAN_TEXT.replace("when: report.generated", 'when: {any: ["report.*", {event: "*", count: 5}]}')
    )
    await api.rows.note_name("report.shared", 1, first=0, last=0)
    await api.rows.note_name("other", 1, first=0, last=0)
    assert [(row["name"], row["used_by"]) for row in await listed(api)] == [
        ("other", []),
        ("report.shared", ["b2b-saas"]),
    ]


async def test_the_catalogue_is_searched_and_paged(api: Api) -> None:
    """Any part of the name in any case; wildcards of SQL are letters; pages join to the whole."""
    for name in ("Report Generated", "report_shared", "100% Done", "Ärger", "zeta"):
        await api.rows.note_name(name, 1, first=0, last=0)
    assert [row["name"] for row in await listed(api, query="REPORT")] == ["Report Generated", "report_shared"]
    assert [row["name"] for row in await listed(api, query="%")] == ["100% Done"]
    assert [row["name"] for row in await listed(api, query="_")] == ["report_shared"]
    found, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.http.get("/v1/catalog", params=parameters)).json()
        found += [row["name"] for row in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ["100% Done", "Report Generated", "report_shared", "zeta", "Ärger"]
    assert (await api.http.get("/v1/catalog", params={"cursor": "x!"})).json()["code"] == "cursor_invalid"
    assert (await api.http.get("/v1/catalog", params={"query": "\x00"})).status_code == 422


async def test_a_name_is_silent_when_others_go_on(api: Api) -> None:
    """In use, daily for a week, then three days without it while other events came."""
    await api.rows.publish()
    await api.rows.note_name("data.ingested", 30, first=0, last=20)
    await api.rows.note_name("Page Opened", 500, first=0, last=22.9)
    assert await silent(api) == []
    await api.rows.note_name("Page Opened", 1, first=23, last=23, part=1)
    assert await silent(api) == ["data.ingested"]


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [("data.ingested", 19, 0), ("data.ingested", 100, 13.5), ("Page Closed", 100, 0)],
    ids=["not daily", "not for a week", "in no plan"],
)
async def test_a_name_that_was_not_expected_daily_is_not_silent(api: Api, name: str, count: int, first: float) -> None:
    """Nobody waits for what came rarely, only lately, or what no plan uses."""
    await api.rows.publish()
    await api.rows.note_name(name, count, first=first, last=20)
    await api.rows.note_name("Page Opened", 500, first=0, last=40)
    assert await silent(api) == []


async def test_neither_a_quiet_product_nor_a_hole_makes_a_name_silent(api: Api) -> None:
    """The clock goes on without events: nothing is silent. Time in a hole does not count."""
    await api.rows.publish()
    await api.rows.note_name("data.ingested", 30, first=0, last=20)
    await api.rows.note_name("Page Opened", 500, first=0, last=20.5)
    await api.rows.move_lease(0, clock_ms=START_MS + 90 * DAY_MS)
    assert await silent(api) == []
    await api.rows.note_name("Page Opened", 1, first=30, last=30, part=1)
    await api.rows.move_lease(0, holes=[[START_MS + 21 * DAY_MS, START_MS + 29 * DAY_MS]])
    assert await silent(api) == []
    await api.rows.move_lease(0, holes=[])
    assert await silent(api) == ["data.ingested"]


async def test_surprises_are_frequent_and_in_no_plan(api: Api) -> None:
    """Most frequent first, at most `limit`; the text counts all. What is excluded from activity is mentioned."""
    await api.rows.publish(f"{PLAN_TEXT}activity: {{exclude: [billing.*]}}\n")
    await api.rows.note_name("billing.paid", 70, first=0, last=3)
    await api.rows.note_name("data.ingested", 99, first=0, last=3)
    await api.rows.note_name("Rare", 1, first=0, last=1)
    await api.rows.note_name("Often", 50, first=0, last=2)
    answer = await api.http.get("/v1/insights/surprises", params={"limit": 1})
    Surprises.model_validate(answer.json())
    found = answer.json()
    assert [(one["event"], one["count"]) for one in found["events"]] == [("Often", 50)]
    assert (found["names"], found["as_of"]) == (2, "2026-01-04T00:00:00Z")
    assert found["text"] == ("2 event names are mentioned by no live plan; the most frequent is Often (50 times).")
