"""GET /v1/accounts and below: what is stored comes out as documented, whatever ids look like."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.signals import Status
from services.activation_engine.api.documents import AccountDocument, AccountList, Explanation, Timeline
from services.activation_engine.plans import registry
from services.activation_engine.plans.loader import CheckedPlan, plan_from_content
from tests.integration.engine_api.conftest import Api
from tests.integration.engine_api.partition_rows import DAY_MS, PLAN_TEXT, START_MS, traits, usage


async def test_an_account_shows_its_traits_and_milestones(api: Api) -> None:
    """What the domain knows of an account is answered in the documented shape."""
    await api.rows.publish()
    events = [traits("acme", segment="smb", owner="dana"), usage("acme", "data.ingested", day=2)]
    await api.rows.apply("acme", *events, tick_ms=START_MS + 3 * DAY_MS)
    answer = await api.http.get("/v1/accounts/acme")
    assert answer.status_code == 200
    AccountDocument.model_validate(answer.json())
    account = answer.json()
    assert (account["id"], account["traits"]) == ("acme", {"segment": "smb", "owner": "dana"})
    plan = account["plans"][0]
    assert (plan["plan"], plan["status"], plan["completion_rate"]) == ("b2b-saas", "on_track", 0.5)
    reached = {milestone["id"]: milestone["reached_at"] for milestone in plan["milestones"]}
    assert list(reached.items()) == [("first_output", None), ("first_data", "2026-01-03T00:00:00Z")]


async def test_without_a_plan_the_list_of_plans_is_empty(api: Api) -> None:
    """An account that no plan applies to is known all the same."""
    await api.rows.apply("acme", usage("acme", "data.ingested", day=0))
    assert (await api.http.get("/v1/accounts/acme")).json()["plans"] == []
    assert (await api.http.get("/v1/accounts/acme/explain")).status_code == 200


async def test_each_partition_judges_by_what_it_has_adopted(api: Api) -> None:
    """While a new version is live on one partition only, accounts of another are shown under the old one."""
    await api.rows.publish()
    await api.rows.apply("old", usage("old", "data.ingested", day=0), part=0)
    await api.rows.publish(PLAN_TEXT.replace("{due: week 2, needs", "{due: week 3, needs"), version=2, parts=[1])
    await api.rows.apply("new", usage("new", "data.ingested", day=0), part=1)
    due = {}
    for name in ("old", "new"):
        plan = (await api.http.get(f"/v1/accounts/{name}")).json()["plans"][0]
        due[name] = (plan["version"], plan["milestones"][0]["due_at"])
    assert due == {"old": (1, "2026-01-15T00:00:00Z"), "new": (2, "2026-01-22T00:00:00Z")}


async def test_a_publication_that_a_failover_lost_is_forgotten(api: Api, database: AsyncEngine) -> None:
    """The next one has its number and another content."""
    await api.rows.publish()
    await api.rows.apply("acme", usage("acme", "data.ingested", day=0))
    due = {(await api.http.get("/v1/accounts/acme")).json()["plans"][0]["milestones"][0]["due_at"]}
    async with database.begin() as connection:
        await connection.execute(sa.text("TRUNCATE activation.plan_version, activation.partition_plan"))
    await api.rows.publish(PLAN_TEXT.replace("{due: week 2, needs", "{due: week 3, needs"))
    due.add((await api.http.get("/v1/accounts/acme")).json()["plans"][0]["milestones"][0]["due_at"])
    assert due == {"2026-01-15T00:00:00Z", "2026-01-22T00:00:00Z"}


async def test_a_version_of_an_earlier_release_is_compiled_once(
    api: Api, database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it wrote into a content, this one leaves out, and so finds another hash: that is no other version."""
    compiled = list[str]()

    def noted(content: dict[str, Any]) -> CheckedPlan:
        compiled.append(content["plan"])
        return plan_from_content(content)

    monkeypatch.setattr(registry, "plan_from_content", noted)
    await api.rows.publish()
    async with database.begin() as connection:
        await connection.execute(sa.text("UPDATE activation.plan_version SET hash = 'of another release'"))
    for _ in range(3):
        await api.http.get("/v1/accounts", params={"segment": "smb"})
    assert compiled == ["b2b-saas"]


async def test_an_explanation_measures_each_condition(api: Api) -> None:
    """Status, measured values and the next deadline are explained for programs and people."""
    await api.rows.publish()
    events = [traits("acme", segment="smb"), usage("acme", "data.ingested", day=0)]
    await api.rows.apply("acme", *events, tick_ms=START_MS + 20 * DAY_MS)
    answer = await api.http.get("/v1/accounts/acme/explain")
    Explanation.model_validate(answer.json())
    plan = answer.json()["plans"][0]
    assert plan["status"] == "stalled"
    assert "acme is stalled" in answer.json()["text"]
    measured = {one["milestone"]: (one["met"], one["measured"], one["threshold"]) for one in plan["conditions"]}
    assert measured == {"first_data": (True, 1, 1), "first_output": (False, 0, 1)}


async def test_a_timeline_holds_signals_as_sent_oldest_first(api: Api) -> None:
    """Pages of the timeline are the ledger's payloads, byte for byte, in the order of sequence."""
    await api.rows.publish()
    events = [usage("acme", "data.ingested", day=1), usage("acme", "report.generated", day=2)]
    await api.rows.apply("acme", *events)
    await api.rows.apply("other", usage("other", "data.ingested", day=1))
    whole = (await api.http.get("/v1/accounts/acme/timeline")).json()
    Timeline.model_validate(whole)
    assert whole["next"] is None
    assert [signal["sequence"] for signal in whole["data"]] == list(range(1, len(whole["data"]) + 1))
    assert "account.first_value_reached" in [signal["type"] for signal in whole["data"]]
    paged, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.http.get("/v1/accounts/acme/timeline", params=parameters)).json()
        assert len(page["data"]) <= 2
        paged += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole["data"]


ODD_IDS = ["a/b", "a/explain", "explain", "timeline", "a b", "50%2F", "Ünïcode/客户/🚀", "..", "?x=1", "a\nb", "/", " "]


@pytest.mark.parametrize("account_id", [*ODD_IDS, "x" * 2000])
async def test_ids_may_hold_any_characters(api: Api, account_id: str) -> None:
    """A percent-encoded id names exactly that account, also where it looks like a longer path."""
    await api.rows.publish()
    await api.rows.apply(account_id, usage(account_id, "data.ingested", day=1))
    await api.rows.apply("a", usage("a", "data.ingested", day=1))
    # Clients resolve bare dots themselves.
    path = f"/v1/accounts/{quote(account_id, safe='').replace('.', '%2E')}"
    assert (await api.http.get(path)).json()["id"] == account_id
    timeline = (await api.http.get(f"{path}/timeline")).json()
    assert {signal["account"]["id"] for signal in timeline["data"]} == {account_id}
    assert (await api.http.get(f"{path}/explain")).status_code == 200


@pytest.mark.parametrize("path", ["nobody", "nobody/explain", "nobody/timeline", "%00", "%ff%fe", "a%00b/timeline", ""])
async def test_an_unknown_account_is_a_problem_that_says_what_to_do(api: Api, path: str) -> None:
    """Nothing received: 404 `account_unknown` on every route of an account."""
    answer = await api.http.get(f"/v1/accounts/{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "account_unknown"
    assert "ingest" in answer.json()["message"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_lists_filter_by_plan_status_segment_and_owner(api: Api) -> None:
    """Each filter narrows the list; rows have neither people nor milestones."""
    await api.rows.publish()
    for name, segment, owner in (("a", "smb", "dana"), ("b", "big", "dana"), ("c", "smb", "eli")):
        await api.rows.apply(name, traits(name, segment=segment, owner=owner), usage(name, "data.ingested", day=0))
    late = [traits("d", segment="smb", owner="eli"), usage("d", "data.ingested", day=0)]
    await api.rows.apply("d", *late, part=1, tick_ms=START_MS + 30 * DAY_MS)

    async def listed(**parameters: str) -> list[str]:
        answer = (await api.http.get("/v1/accounts", params=parameters)).json()
        AccountList.model_validate(answer)
        return [row["id"] for row in answer["data"]]

    assert await listed() == ["a", "b", "c", "d"]
    assert await listed(owner="dana") == ["a", "b"]
    assert await listed(segment="smb", owner="eli") == ["c", "d"]
    assert await listed(status="stalled") == ["d"]
    assert await listed(plan="b2b-saas", segment="big") == ["b"]
    unknown = (await api.http.get("/v1/accounts", params={"plan": "other"})).json()
    assert (unknown["code"], unknown["message"]) == (
        "plan_unknown",
        "`other` is not published. Name one of the live plans: b2b-saas.",
    )
    misspelt = (await api.http.get("/v1/accounts", params={"status": "stuck"})).json()
    assert misspelt["code"] == "invalid_request"
    assert all(status in misspelt["message"] for status in get_args(Status))
    row = (await api.http.get("/v1/accounts")).json()["data"][0]
    assert "people" not in row
    assert "milestones" not in row["plans"][0]


async def test_lists_filter_by_a_milestone_that_is_reached(api: Api) -> None:
    """Under the same plan as the other filters."""
    await api.rows.publish()
    other = PLAN_TEXT.replace("plan: b2b-saas", "plan: other").replace("when: data.ingested", "when: list.built")
    await api.rows.publish(other)
    await api.rows.apply("both", usage("both", "data.ingested", day=0), usage("both", "report.generated", day=1))
    await api.rows.apply("first", usage("first", "data.ingested", day=0))
    await api.rows.apply("list", usage("list", "list.built", day=0), part=1)
    await api.rows.apply("none", usage("none", "page.viewed", day=0))

    async def listed(**parameters: str) -> list[str]:
        answer = await api.http.get("/v1/accounts", params=parameters)
        return [row["id"] for row in answer.json()["data"]]

    assert await listed(milestone="first_data") == ["both", "first", "list"]
    assert await listed(milestone="first_data", plan="b2b-saas") == ["both", "first"]
    assert await listed(milestone="first_data", plan="other") == ["list"]
    assert await listed(milestone="first_output") == ["both"]
    assert await listed(milestone="first_data", status="activated") == ["both"]


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"segment": "SMB"}, "segment_unknown", "`SMB` is no segment of b2b-saas, plain. Name one of these: big, smb."),
        ({"segment": "smb", "plan": "plain"}, "segment_unknown", "`smb` is no segment of plain. There is none."),
        (
            {"milestone": "first_data%' OR true --", "plan": "b2b-saas"},
            "milestone_unknown",
            "`first_data%' OR true --` is no milestone of b2b-saas. Name one of these: first_data, first_output.",
        ),
        (
            {"milestone": "first_data", "plan": "plain"},
            "milestone_unknown",
            "`first_data` is no milestone of plain. Name one of",
        ),
    ],
)
async def test_a_filter_by_what_no_plan_has_is_refused(
    api: Api, parameters: dict[str, str], code: str, message: str
) -> None:
    """With the names that there are, in the plan that is asked about or else in all."""
    await api.rows.publish()
    await api.rows.publish("plan: plain\nmilestones: {value: {when: x.y}}\nfirst_value: value\n")
    answer = await api.http.get("/v1/accounts", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert answer.json()["message"].startswith(message)


async def test_an_ended_plan_can_be_asked_about(api: Api) -> None:
    """By the milestones that it had."""
    await api.rows.publish()
    await api.rows.apply("a", usage("a", "data.ingested", day=0))
    await api.rows.end_plan("b2b-saas", version=2)
    asked = {"plan": "b2b-saas", "milestone": "first_data"}
    assert [row["id"] for row in (await api.http.get("/v1/accounts", params=asked)).json()["data"]] == ["a"]
    assert (await api.http.get("/v1/accounts", params={"milestone": "first_data"})).json()["message"] == (
        "`first_data` is no milestone of any plan, for none is live. There is none."
    )


async def test_pages_of_accounts_join_to_the_whole_list(api: Api) -> None:
    """Following `next` meets every account once, over partitions and odd ids."""
    names = sorted(["a", "b", "ä", "z/1", "客户", "🚀", "Z"])
    for index, name in enumerate(names):
        await api.rows.apply(name, usage(name, "x", day=0), part=index % 3)
    found, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.http.get("/v1/accounts", params=parameters)).json()
        found += [row["id"] for row in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == names


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"cursor": "nonsense!"}, 400, "cursor_invalid"),
        ({"cursor": "WzFd"}, 400, "cursor_invalid"),
        ({"cursor": "WyJcdTAwMDAiXQ"}, 400, "cursor_invalid"),
        ({"cursor": "WyJcdWQ4MDAiXQ"}, 400, "cursor_invalid"),
        ({"cursor": "W1tb" * 1000}, 400, "cursor_invalid"),
        ({"limit": "0"}, 422, "invalid_request"),
        ({"limit": "501"}, 422, "invalid_request"),
        ({"limit": "many"}, 422, "invalid_request"),
        ({"status": "sleepy"}, 422, "invalid_request"),
        ({"owner": "\x00"}, 422, "invalid_request"),
    ],
)
async def test_wrong_parameters_are_named(api: Api, parameters: dict[str, str], status: int, code: str) -> None:
    """A cursor that is not ours, a limit out of range, an unknown status: a problem, never a failure."""
    answer = await api.http.get("/v1/accounts", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
