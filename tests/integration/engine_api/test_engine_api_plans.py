"""/v1/plans: publishing is numbered, bounded, checked with line numbers, and answers once it is live."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from msgspec.structs import asdict

from services.activation_engine.api.plan_documents import (
    CheckedPlanDocument,
    PlanContentDocument,
    PlanDocument,
    PlanList,
    PublishedPlan,
    RetiredPlan,
)
from services.activation_engine.plans.advice import SeenName, advise
from services.activation_engine.plans.registry import PLANS_MAX
from tests.integration.engine_api.conftest import Api
from tests.integration.engine_api.partition_rows import PARTITIONS, PLAN_TEXT, usage


def plan_named(plan: str, *, title: str = "A title") -> str:
    """A valid plan file."""
    return PLAN_TEXT.replace("plan: b2b-saas", f"plan: {plan}").replace("To the first output", title)


async def put(api: Api, text: str | bytes, *, plan: str = "b2b-saas", **parameters: str) -> httpx.Response:
    """Publish `text`."""
    headers = {"content-type": "application/yaml"}
    return await api.http.put(f"/v1/plans/{plan}", content=text, headers=headers, params=parameters)


async def test_publishing_answers_when_every_partition_has_adopted(api: Api) -> None:
    """The first version is 1 and live; the same content in other words is the same version."""
    async with api.rows.adopting():
        first = await put(api, PLAN_TEXT)
        again = await put(api, "# a comment\n" + PLAN_TEXT.replace("week 1,", "week 1  ,"))
        other = await put(api, PLAN_TEXT.replace("week 1", "week 2"), policy="emit")
    PublishedPlan.model_validate(first.json())
    told = {"plan": "b2b-saas", "version": 1, "changed": True, "live": True}
    assert told.items() <= first.json().items()
    same = first.json() | {"changed": False, "counts_from_publish": [], "warnings": again.json()["warnings"]}
    assert again.json() == same
    assert (other.json()["version"], other.json()["changed"], other.json()["live"]) == (2, True, True)
    shown = (await api.http.get("/v1/plans/b2b-saas/versions/2")).json()
    assert shown["policy"] == "emit"


async def test_new_conditions_count_from_publish(api: Api) -> None:
    """The answer names the milestones with a condition that no live plan had; retitling or moving one is none."""
    changed = PLAN_TEXT.replace("{due: week 1, when: data.ingested}", "{due: week 3, when: data.ingested.again}")
    assert changed != PLAN_TEXT
    async with api.rows.adopting():
        first = (await put(api, PLAN_TEXT)).json()
        moved = (await put(api, PLAN_TEXT.replace("week 1", "week 2"))).json()
        other = (await put(api, changed)).json()
    assert "first_data" in first["counts_from_publish"]
    assert moved["counts_from_publish"] == []
    assert other["counts_from_publish"] == ["first_data"]


async def test_a_publication_says_what_it_changes(api: Api) -> None:
    """The warnings of the check, and how many activated accounts at most a newly required milestone takes back: those
    that reached it do not count. The check says so before."""
    text = PLAN_TEXT.replace("first_value:", "  trained: {when: training.done, required: false}\nfirst_value:")
    harder = text.replace(", required: false", "").replace("first_value:", "  more: {when: x.y}\nfirst_value:")
    await api.rows.publish(text)
    await api.rows.note_name("training.done", 3)
    for name, *more in (("a", "training.done"), ("b",), ("c",)):
        used = ("data.ingested", "report.generated", *more)
        await api.rows.apply(name, *(usage(name, one, day=0) for one in used))
    await api.rows.apply("d", usage("d", "data.ingested", day=0))
    headers = {"content-type": "application/yaml"}
    softer = text.replace("week 2", "week 3")
    async with api.rows.adopting():
        trained = await api.http.post(
            "/v1/plans/b2b-saas/check", content=harder.replace("  more: {when: x.y}\n", ""), headers=headers
        )
        checked = (await api.http.post("/v1/plans/b2b-saas/check", content=harder, headers=headers)).json()
        easy = (await put(api, softer)).json()
        hard = (await put(api, harder)).json()
        again = (await put(api, harder)).json()
    assert (trained.json()["newly_required"], trained.json()["fall_back_max"]) == (["trained"], 2)
    assert (checked["newly_required"], checked["fall_back_max"]) == (["trained", "more"], 3)
    assert (easy["newly_required"], easy["fall_back_max"]) == ([], 0)
    assert (hard["newly_required"], hard["fall_back_max"]) == (["trained", "more"], 3)
    assert hard["warnings"] == checked["warnings"] == again["warnings"]
    assert [one["path"] for one in hard["warnings"] if "training" in one["message"]] == []
    assert "`x.y` was never sent" in [one["message"] for one in hard["warnings"]]
    assert (again["changed"], again["newly_required"], again["fall_back_max"]) == (False, [], 0)


async def test_retiring_ends_a_plan_everywhere(api: Api) -> None:
    """By a last version that partitions adopt like any other; publishing again begins anew."""
    assert (await api.http.delete("/v1/plans/b2b-saas")).json()["code"] == "plan_unknown"
    async with api.rows.adopting():
        await put(api, PLAN_TEXT)
        ended = await api.http.delete("/v1/plans/b2b-saas")
        again = await api.http.delete("/v1/plans/b2b-saas")
        assert (await api.http.get("/v1/plans")).json()["data"] == []
        shown = (await api.http.get("/v1/plans/b2b-saas")).json()
        back = (await put(api, PLAN_TEXT)).json()
    RetiredPlan.model_validate(ended.json())
    assert ended.json() == {"plan": "b2b-saas", "version": 2, "changed": True, "retired": True}
    assert again.json() == ended.json() | {"changed": False}
    assert (shown["version"], shown["live"]) == (1, False)
    assert [one["policy"] for one in shown["versions"]] == ["retired", "silent"]
    assert (back["version"], back["changed"], back["live"]) == (3, True, True)


async def test_going_back_is_a_new_version(api: Api) -> None:
    """Content of an older version published again gets a number of its own and the old hash."""
    async with api.rows.adopting():
        first = (await put(api, PLAN_TEXT)).json()
        await put(api, PLAN_TEXT.replace("week 1", "week 2"))
        back = (await put(api, PLAN_TEXT)).json()
    assert (back["version"], back["hash"]) == (3, first["hash"])


async def test_a_partition_that_does_not_adopt_is_not_waited_for_without_end(impatient_api: Api) -> None:
    """After the bound the answer says `live` false; the version stays, and asking again waits again."""
    api = impatient_api
    async with api.rows.adopting(range(PARTITIONS - 1)):
        answer = await put(api, PLAN_TEXT)
        assert (answer.status_code, answer.json()["version"], answer.json()["live"]) == (200, 1, False)
        assert (await api.http.get("/v1/plans/b2b-saas")).json()["live"] is False
    async with api.rows.adopting():
        again = await put(api, PLAN_TEXT)
    assert (again.json()["version"], again.json()["changed"], again.json()["live"]) == (1, False, True)


async def test_publishing_at_once_gives_every_version_its_own_number(api: Api) -> None:
    """Eight different files published side by side become versions 1 to 8, in some order, nothing lost."""
    async with api.rows.adopting():
        answers = await asyncio.gather(*(put(api, PLAN_TEXT.replace("14d", f"{15 + n}d")) for n in range(8)))
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 9))
    versions = (await api.http.get("/v1/plans/b2b-saas")).json()["versions"]
    assert [version["version"] for version in versions] == list(range(8, 0, -1))


async def test_the_same_file_published_at_once_is_one_version(api: Api) -> None:
    """Of several equal publications exactly one changes anything."""
    async with api.rows.adopting():
        answers = await asyncio.gather(*(put(api, PLAN_TEXT) for _ in range(5)))
    assert [answer.json()["version"] for answer in answers] == [1] * 5
    assert sum(answer.json()["changed"] for answer in answers) == 1


async def test_errors_have_line_column_and_path(api: Api) -> None:
    """Every error of a file is told with its place and what to write; nothing is published."""
    text = PLAN_TEXT.replace("needs: [first_data]", "needs: [first_dat]").replace("first_value:", "first_valu:")
    answer = await put(api, text)
    assert (answer.status_code, answer.json()["code"]) == (422, "plan_invalid")
    errors = answer.json()["errors"]
    assert {"line", "column", "path", "code", "message", "hint"} <= set(errors[0])
    lines = text.splitlines()
    assert any("first_valu" in lines[error["line"] - 1] for error in errors)
    assert f":{errors[0]['line']}:{errors[0]['column']}:" in answer.json()["message"]
    assert (await api.http.get("/v1/plans")).json()["data"] == []
    checked = await api.http.post("/v1/plans/b2b-saas/check", content=text)
    assert checked.json()["errors"] == errors


async def test_a_check_warns_as_the_command_does(api: Api) -> None:
    """Of names that nobody sent, with the nearest that somebody did, by line and column; the plan stays valid."""
    await api.rows.note_name("Report Generated", 3)
    await api.rows.note_name("data.ingest", 3, part=1)
    checked = (await api.http.post("/v1/plans/b2b-saas/check", content=PLAN_TEXT)).json()
    CheckedPlanDocument.model_validate(checked)
    seen = [SeenName("Report Generated"), SeenName("data.ingest")]
    expected = [asdict(one) for one in advise(PLAN_TEXT, file="b2b-saas.yaml", seen=seen)]
    assert (checked["valid"], checked["warnings"]) == (True, expected)
    assert [(one["path"], one["code"], one["hint"]) for one in expected] == [
        (
            "milestones.first_output.when",
            "event_never_seen",
            "the nearest names that were sent: `Report Generated`",
        ),
        ("milestones.first_data.when", "event_never_seen", "the nearest names that were sent: `data.ingest`"),
    ]
    known = PLAN_TEXT.replace("data.ingested", "data.ingest").replace("report.generated", "{event: Report Generated}")
    assert (await api.http.post("/v1/plans/b2b-saas/check", content=known)).json()["warnings"] == []


async def test_what_a_version_leaves_out_is_told_before_and_after(api: Api) -> None:
    """Milestones that are gone, and events that come: not one that was last seen a quarter of a year ago."""
    before = PLAN_TEXT.replace("title:", "events: {report.generated: [Report Made, Report Built]}\ntitle:")
    before = before.replace("first_value:", "  seen: {when: page.viewed, required: false}\nfirst_value:")
    await api.rows.publish(before)
    await api.rows.note_name("Report Made", 3, last=1)
    await api.rows.note_name("Report Built", 3, last=1, part=1)
    await api.rows.note_name("Report Built", 3, last=1.5)
    await api.rows.note_name("Other", 3, last=91.2)
    left_out = {"milestones_removed": ["seen"], "events_dropped": ["Report Built"]}
    checked = (await api.http.post("/v1/plans/b2b-saas/check", content=PLAN_TEXT)).json()
    assert {name: checked[name] for name in left_out} == left_out
    async with api.rows.adopting():
        published = (await put(api, PLAN_TEXT)).json()
    assert {name: published[name] for name in left_out} == left_out


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plan: [",
        b"just text",
        b"[]",
        b"null",
        b"a: &a [*a]",
        b"plan: !!python/object/apply:os.system [true]",
        b"{" * 5000,
        PLAN_TEXT.replace("To the first output", '"a\\0b"').encode(),
        PLAN_TEXT.replace("To the first output", '"\\ud800"').encode(),
        b"x: &x [1,1,1,1,1,1,1,1]\n" + b"\n".join(b"y%d: &y%d [*x,*x,*x,*x]" % (n, n) for n in range(20)),
        (PLAN_TEXT + PLAN_TEXT).encode(),
        (PLAN_TEXT + "---\n" + PLAN_TEXT).encode(),
    ],
)
async def test_bodies_that_are_no_plan_are_refused(api: Api, body: bytes) -> None:
    """Broken YAML, other documents and hostile ones are `plan_invalid` with at least one placed error."""
    answer = await put(api, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "plan_invalid"), answer.text
    assert all(error["line"] >= 1 and error["message"] for error in answer.json()["errors"])
    assert (await api.http.get("/v1/plans")).json()["data"] == []


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"\x00", "plan: x".encode("utf-16")])
async def test_other_encodings_are_refused(api: Api, body: bytes) -> None:
    """Before anything is parsed."""
    answer = await put(api, body)
    assert (answer.status_code, answer.json()["code"]) == (415, "charset_unsupported"), answer.text


async def test_a_plan_file_has_a_size_limit(api: Api) -> None:
    """One byte above 256 KiB is refused by size, before anything is parsed."""
    answer = await put(api, PLAN_TEXT + "#" * (262_145 - len(PLAN_TEXT)))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    async with api.rows.adopting():
        assert (await put(api, PLAN_TEXT + "#" * (262_144 - len(PLAN_TEXT)))).status_code == 200


async def test_the_path_and_the_file_name_the_same_plan(api: Api) -> None:
    """A file published under another id is refused with both ids in the message."""
    answer = await put(api, PLAN_TEXT, plan="other")
    assert (answer.status_code, answer.json()["code"]) == (422, "plan_invalid")
    assert answer.json()["errors"][0]["code"] == "plan_id_mismatch"
    assert "b2b-saas" in answer.json()["message"]
    assert "other" in answer.json()["message"]


async def test_there_is_a_limit_on_live_plans(api: Api) -> None:
    """The 201st plan is refused; a new version of one that is live is not."""
    await api.rows.publish(plan_named("plan-000"))
    await api.rows.copy_plan("plan-000", [f"plan-{number:03}" for number in range(1, PLANS_MAX)])
    async with api.rows.adopting():
        answer = await put(api, plan_named("one-more"), plan="one-more")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_many_plans")
        newer = await put(api, plan_named("plan-000", title="Newer"), plan="plan-000")
    assert newer.json()["version"] == 2
    listed, cursor = [], None
    while True:
        page = (await api.http.get("/v1/plans", params={"limit": 90} | ({"cursor": cursor} if cursor else {}))).json()
        PlanList.model_validate(page)
        listed += [row["plan"] for row in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert listed == [f"plan-{number:03}" for number in range(PLANS_MAX)]


async def test_a_published_plan_reads_back(api: Api) -> None:
    """The newest version, any version, its content and the file as it was sent."""
    async with api.rows.adopting():
        await put(api, "# ours\n" + PLAN_TEXT)
        await put(api, PLAN_TEXT.replace("week 1", "week 2"))
    plan = (await api.http.get("/v1/plans/b2b-saas")).json()
    PlanDocument.model_validate(plan)
    assert (plan["version"], [version["version"] for version in plan["versions"]]) == (2, [2, 1])
    first = (await api.http.get("/v1/plans/b2b-saas/versions/1")).json()
    PlanContentDocument.model_validate(first)
    assert first["source"] == "# ours\n" + PLAN_TEXT
    assert first["content"]["plan"] == "b2b-saas"
    assert list(first["content"]["milestones"]) == ["first_output", "first_data"]
    assert first["live"] is True


@pytest.mark.parametrize("path", ["nothing", "nothing/versions/1", "b2b-saas/versions/9"])
async def test_an_unknown_plan_or_version_is_a_problem(api: Api, path: str) -> None:
    """404 `plan_unknown`, which says where the known ones are listed."""
    await api.rows.publish()
    answer = await api.http.get(f"/v1/plans/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "plan_unknown")
