"""GET /v1/insights/…: what product teams read off all accounts of a plan, on rows whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.activation_engine.api import insight_documents as documents
from services.activation_engine.api.insights import PLAN_NOT_LIVE, PLAN_UNCLEAR
from services.activation_engine.domain.rows import days_key
from services.runtime.postgres import Limits, connect
from tests.integration.engine_api.conftest import Api, serving
from tests.integration.engine_api.insight_accounts import CLOCK_MS, Accounts
from tests.integration.engine_api.partition_rows import DAY_MS, PLAN_TEXT, START_MS

OF_PLAN = ("status", "funnel", "ttfv", "adoption", "obstacles", "owners")


@pytest.fixture
async def accounts(api: Api, database: AsyncEngine) -> Accounts:
    """No account yet, one plan live."""
    made = Accounts(api, database)
    await made.publish()
    return made


async def asked(api: Api, name: str, **parameters: str) -> dict[str, Any]:
    """The answer of one insight, in its documented shape."""
    answer = await api.http.get(f"/v1/insights/{name}", params=parameters)
    assert answer.status_code == 200, answer.text
    shape = {"surprises": documents.Surprises}.get(name) or getattr(documents, f"{name.capitalize()}Insight")
    shape.model_validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found


def only(found: Iterable[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """The one row with these values."""
    (row,) = (one for one in found if all(one[name] == value for name, value in values.items()))
    return row


async def test_statuses_are_counted_by_cohort(api: Api, accounts: Accounts) -> None:
    """By month of the start; an account without a start is in no month."""
    await accounts.add("activated", start=1)
    await accounts.add("at_risk", start=40)
    await accounts.add("not_started", start=None)
    found = await asked(api, "status")
    assert found["total"]["accounts"] == 3
    assert [one["cohort"] for one in found["cohorts"]] == ["2026-01", "2026-02", None]
    assert found["cohorts"][1]["statuses"]["at_risk"] == 1
    assert (found["plan"], found["version"], found["as_of"]) == ("b2b-saas", 1, "2026-03-02T00:00:00Z")
    assert found["text"].startswith("1 of 3 accounts under b2b-saas is activated")


async def test_a_funnel_times_those_that_got_there(api: Api, accounts: Accounts) -> None:
    """Shares are of the started; what came before the start or before the previous milestone took no time."""
    await accounts.add(data=2, output=12)
    await accounts.add(data=4, output=1)
    await accounts.add(data=6)
    await accounts.add(data=-5)
    await accounts.add("not_started", start=90)
    found = (await asked(api, "funnel"))["total"]
    output, data = found["milestones"]
    assert (found["accounts"], data["id"], output["id"]) == (4, "first_data", "first_output")
    assert (data["reached"], data["share"], data["median_days"], data["p90_days"]) == (4, 1.0, 3.0, 5.4)
    assert (output["reached"], output["share"], output["median_days"]) == (2, 0.5, 6.5)
    assert output["step_median_days"] is None
    assert (data["reached_both"], data["step_median_days"]) == (2, 1.5)


async def test_a_step_begins_no_earlier_than_the_account(api: Api, accounts: Accounts) -> None:
    """What an imported account reached before its start counts as day 0, for the next step too."""
    await accounts.add(output=-300, data=2)
    output, data = (await asked(api, "funnel"))["total"]["milestones"]
    assert (str(output["median_days"]), data["step_median_days"]) == ("0.0", 2.0)


async def test_time_to_first_value_does_not_forget_who_is_on_the_way(api: Api, accounts: Accounts) -> None:
    """Two were fast and two still wait: the naive median says 6 days, the curve says 30 (and the closed one counts
    until it closed)."""
    await accounts.add(output=2)
    await accounts.add(output=10)
    await accounts.add(output=30)
    await accounts.add(start=20)
    await accounts.add(start=50)
    await accounts.add("closed", closed=5)
    await accounts.add("not_started", start=61)
    total = (await asked(api, "ttfv"))["total"]
    assert (total["accounts"], total["reached"], total["on_the_way"]) == (6, 3, 3)
    assert [(one["day"], one["at_risk"]) for one in total["curve"]] == [(2.0, 6), (10.0, 4), (30.0, 2)]
    assert [one["rate"] for one in total["curve"]] == [0.1667, 0.375, 0.6875]
    assert (total["median_days"], total["p90_days"], total["naive_median_days"]) == (30.0, None, 10.0)
    rate = total["activation_rate"]
    # The window of smb is 45 days, but nobody who started in January waits beyond 40 and the last came at day 30.
    assert (rate["rate"], rate["accounts"]) == (None, 0)


async def test_the_activation_rate_is_read_at_each_segments_window(api: Api, accounts: Accounts) -> None:
    """45 days for smb, 90 for big, which nobody was watched for: its accounts are not judged."""
    await accounts.add(output=20)
    await accounts.add(output=50)
    await accounts.add()
    await accounts.add(segment="big", output=3)
    await accounts.add(segment="big")
    found = await asked(api, "ttfv", by="segment")
    total, smb = found["total"]["activation_rate"], only(found["cohorts"], cohort="smb")["activation_rate"]
    assert (smb["rate"], smb["accounts"]) == (0.3333, 3)
    assert total == smb
    assert smb["low"] < smb["rate"] < smb["high"]
    assert only(found["cohorts"], cohort="big")["activation_rate"]["rate"] is None


async def test_pauses_and_gaps_take_no_time(api: Api, accounts: Accounts) -> None:
    """In time at day 55, of which fourteen were paused or in a hole or both; of those on the way one was watched for 47
    days and one that is paused for 20. What lies outside of an account's time counts for nothing."""
    for part in range(3):
        await api.rows.move_lease(part, holes=[[day_ms(-9), day_ms(-8)], [day_ms(20), day_ms(23)]])
    await accounts.add(output=55, paused=between((-5, -1), (10, 20), (22, 24), (56, 58)))
    await accounts.add(paused=between((30, 40)))
    await accounts.add(paused=f"{{[{day_ms(20)},)}}")
    await accounts.add(output=0, paused=between((10, 20)))
    total = (await asked(api, "ttfv"))["total"]
    assert [(step["day"], step["at_risk"]) for step in total["curve"]] == [(0.0, 4), (41.0, 2)]
    assert total["naive_median_days"] == 20.5
    assert total["activation_rate"]["rate"] == 0.625


def day_ms(day: float) -> int:
    """A day after the start of the year."""
    return START_MS + int(day * DAY_MS)


def between(*stretches: tuple[float, float]) -> str:
    """Days as stored."""
    return "{" + ",".join(f"[{day_ms(start)},{day_ms(end)})" for start, end in stretches) + "}"


async def test_use_is_counted_over_the_last_thirty_days(api: Api, accounts: Accounts) -> None:
    """Bits older than 30 days and days ahead of the clock count for nothing; bitmaps come in any length."""
    today = CLOCK_MS // DAY_MS
    every_day = b"\xff" * 12
    for age in (0, 18, 17, 25, 26, 30, 5_000):
        await accounts.add(active_day=today - age, bits=every_day)
    await accounts.add(active_day=today - 29, bits=b"\x01")
    await accounts.add(active_day=today + 3, bits=b"\x07")
    await accounts.add(active_day=today + 3, bits=b"\x0f")
    await accounts.add()
    await accounts.add("closed", closed=5, active_day=today, bits=every_day)
    total = (await asked(api, "adoption"))["total"]
    assert total["bands"] == {"none": 4, "low": 3, "medium": 2, "high": 2}
    assert total["accounts"] == 11
    assert (total["mean_adoption"], total["features"]) == (None, [])


async def test_a_day_lasts_until_it_is_over(api: Api, accounts: Accounts) -> None:
    """In the evening too, what was done 29 days ago is of the last 30 days."""
    for part in range(3):
        await api.rows.move_lease(part, clock_ms=CLOCK_MS + DAY_MS * 3 // 4)
    await accounts.add(active_day=CLOCK_MS // DAY_MS - 29, bits=b"\x01")
    assert (await asked(api, "adoption"))["total"]["bands"]["low"] == 1


async def test_a_year_may_have_many_days(api: Api, accounts: Accounts) -> None:
    """In a plan that is watched run: more than a number of four bytes can count."""
    await api.rows.publish(PLAN_TEXT + "day: 1ms\n", version=2)
    days = {days_key(0, 1): (START_MS - 300 * DAY_MS, b"\1".hex())}
    await accounts.add(start=-400, version=2, days=days)
    for name in OF_PLAN:
        await asked(api, name)
    assert (await asked(api, "adoption"))["total"]["bands"]["none"] == 1


async def test_adoption_counts_core_features(api: Api, accounts: Accounts) -> None:
    """Each account's share, and the accounts of each feature; an account that the live version has not judged yet has
    other features, of which nothing is known."""
    used = "data.ingested, report.generated, list.built, model.trained"
    await api.rows.publish(f"{PLAN_TEXT}core_features: {{days: 2, of: [{used}]}}\n", version=2)
    for features in (0b0101, 0b0101, 0b1000, 0b0000):
        await accounts.add(version=2, features=bytes([features]))
    await accounts.add(version=1, features=b"\xff\xff")
    total = (await asked(api, "adoption"))["total"]
    assert total["accounts"] == 5
    assert total["distribution"] == [
        {"adoption": 0.0, "accounts": 1},
        {"adoption": 0.25, "accounts": 1},
        {"adoption": 0.5, "accounts": 2},
    ]
    assert total["mean_adoption"] == 0.3125
    assert [(one["feature"], one["accounts"], one["share"]) for one in total["features"]] == [
        ("data.ingested, on 2 days", 2, 0.5),
        ("report.generated, on 2 days", 0, 0.0),
        ("list.built, on 2 days", 2, 0.5),
        ("model.trained, on 2 days", 1, 0.25),
    ]


async def test_obstacles_come_in_due_order_with_what_was_done_last(api: Api, accounts: Accounts) -> None:
    """The first required milestone by due time; waiting began at the newest one reached, or at the start."""
    await accounts.add("stalled", start=10, did="Page Opened")
    await accounts.add("at_risk", start=20, did="Page Opened")
    await accounts.add("on_track", start=30, data=10, did="Data Imported")
    await accounts.add("on_track", start=30, output=4, did="Data Imported")
    await accounts.add("activated", data=1, output=2)
    await accounts.add("closed", closed=3)
    await accounts.add("paused", did="Page Opened")
    await accounts.add("on_track", start=-60, waived="first_data", did="Data Imported")
    found = await asked(api, "obstacles")
    assert [one["milestone"] for one in found["obstacles"]] == ["first_data", "first_output"]
    data, output = found["obstacles"]
    assert (data["accounts"], data["at_risk"], data["stalled"], data["waiting_median_days"]) == (3, 1, 1, 40.0)
    assert data["last_events"] == [{"event": "Page Opened", "accounts": 2}, {"event": "Data Imported", "accounts": 1}]
    assert (output["accounts"], output["waiting_median_days"]) == (2, 70.0)
    assert found["text"].startswith("3 of 5 accounts on the way wait for First data, for 40 days at the median")
    assert found["text"].endswith("The longest wait is for First output, 70 days at the median.")


async def test_owners_are_compared(api: Api, accounts: Accounts) -> None:
    """Those with most accounts first; accounts of nobody are a row of their own."""
    await accounts.add("activated", owner="dana", output=9, data=1)
    await accounts.add("stalled", owner="dana")
    await accounts.add("not_started", owner="dana", start=None)
    await accounts.add("at_risk")
    found = await asked(api, "owners")
    dana, nobody = found["owners"]
    counts = [dana[name] for name in ("owner", "accounts", "started", "activated", "at_risk", "stalled")]
    assert counts == ["dana", 3, 2, 1, 0, 1]
    assert (dana["activation_rate"]["rate"], dana["median_days"]) == (0.5, 9.0)
    assert (nobody["owner"], nobody["at_risk"], nobody["median_days"]) == (None, 1, None)


async def test_what_takes_too_long_says_what_to_do(migrated: str, database: AsyncEngine) -> None:
    """The database is not away: it ended the query, which many accounts make long, and here a lock."""
    hurried = connect(migrated, service="test", limits=Limits(statement_ms=300, lock_ms=0))
    async with serving(hurried) as api:
        await api.rows.publish()
        async with database.begin() as other:
            await other.execute(sa.text("LOCK TABLE activation.account_plan"))
            answer = await api.http.get("/v1/insights/status")
    await hurried.dispose()
    assert (answer.status_code, answer.json()["code"]) == (504, "insight_too_slow")


async def test_filters_hold_together(api: Api, accounts: Accounts) -> None:
    """Segment, owner and the time of the start, whose end is excluded."""
    await accounts.add(owner="dana", start=1)
    await accounts.add(owner="dana", start=31)
    await accounts.add(owner="dana", start=35, segment="big")
    await accounts.add(owner="eve", start=35)

    async def count(**filters: str) -> int:
        return int((await asked(api, "status", **filters))["total"]["accounts"])

    assert await count() == 4
    assert await count(owner="dana") == 3
    assert await count(owner="dana", segment="smb") == 2
    assert await count(started_from="2026-02-01") == 3
    assert await count(started_from="2026-02-01", started_to="2026-02-05T00:00:00Z") == 1
    assert await count(started_from="2026-02-01", owner="dana", segment="big") == 1
    for name in OF_PLAN:
        await asked(api, name, owner="dana", segment="smb", started_from="2026-01-01", started_to="2026-06-01")


@pytest.mark.parametrize("name", OF_PLAN)
async def test_without_accounts_there_is_nothing_to_tell(api: Api, accounts: Accounts, name: str) -> None:
    """An empty plan is answered, in words too."""
    assert (await asked(api, name))["text"]


@pytest.mark.parametrize("name", OF_PLAN)
async def test_the_plan_must_be_clear(api: Api, name: str) -> None:
    """None live, one live, two live, one that is not live: the problem names what there is."""
    path = f"/v1/insights/{name}"
    nothing = await api.http.get(path)
    assert (nothing.status_code, nothing.json()["code"]) == (400, "plan_unclear")
    assert "publish one first" in nothing.json()["message"]
    await api.rows.publish()
    assert (await api.http.get(path)).json()["plan"] == "b2b-saas"
    await api.rows.publish(PLAN_TEXT.replace("plan: b2b-saas", "plan: api-product"))
    several = await api.http.get(path)
    assert (several.status_code, several.json()["code"], several.json()["message"]) == PLAN_UNCLEAR
    assert (await api.http.get(path, params={"plan": "api-product"})).json()["plan"] == "api-product"
    await api.rows.move_plan("api-product", policy="retired")
    assert (await api.http.get(path)).json()["plan"] == "b2b-saas"
    assert (await api.http.get(path, params={"plan": "api-product"})).json()["code"] == "plan_not_live"
    unknown = await api.http.get(path, params={"plan": "b2b_saas"})
    assert (unknown.status_code, unknown.json()["code"], unknown.json()["message"]) == PLAN_NOT_LIVE


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"started_from": "soon"}, 400, "time_invalid"),
        ({"started_to": "2026-13-01"}, 400, "time_invalid"),
        ({"by": "colour"}, 422, "invalid_request"),
        ({"owner": "\x00"}, 422, "invalid_request"),
        ({"segment": "small"}, 404, "segment_unknown"),
    ],
)
async def test_wrong_parameters_are_named(
    api: Api, accounts: Accounts, parameters: dict[str, str], status: int, code: str
) -> None:
    """A problem that says what to write instead."""
    answer = await api.http.get("/v1/insights/ttfv", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
