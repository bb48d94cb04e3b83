"""GET /v1/signals, ?after=<position> and /v1/partitions: nothing is skipped, nothing is answered too early."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.positions import encode_position
from services.activation_engine.api import new_engine_api
from services.activation_engine.api.documents import PartitionList, SignalStream
from services.runtime.key_ring import KeyRing
from services.runtime.postgres import connect
from tests.fakes.operations import operations_over
from tests.integration.engine_api.conftest import Api
from tests.integration.engine_api.partition_rows import PARTITIONS, START_MS, usage


def payloads(account_id: str, count: int) -> list[bytes]:
    """Signals of an account as bytes that another encoder would write differently."""
    return [
        json.dumps({"type": "account.at_risk", "account": {"id": account_id}, "n": n}, indent=1).encode()
        for n in range(count)
    ]


async def test_the_stream_gives_every_signal_once(api: Api) -> None:
    """Following `next` over all partitions meets each signal once, each partition's in its order, bytes as sent."""
    for part, count in ((0, 7), (1, 1), (2, 4)):
        await api.rows.record(f"account-{part}", payloads(f"account-{part}", count), part=part)
    seen: dict[str, list[int]] = {}
    after = None
    for _ in range(10):
        answer = await api.http.get("/v1/signals", params={"limit": 3} | ({"after": after} if after else {}))
        page = answer.json()
        SignalStream.model_validate(page)
        after = page["next"]
        if not page["data"]:
            break
        assert payloads(page["data"][0]["account"]["id"], 7)[page["data"][0]["n"]] in answer.content
        for signal in page["data"]:
            seen.setdefault(signal["account"]["id"], []).append(signal["n"])
    assert seen == {"account-0": list(range(7)), "account-1": [0], "account-2": list(range(4))}
    await api.rows.record("account-1", payloads("account-1", 1), part=1)
    assert len((await api.http.get("/v1/signals", params={"cursor": after})).json()["data"]) == 1


async def test_a_partition_that_commits_late_is_not_skipped(api: Api) -> None:
    """A cursor taken while another partition was behind still meets that partition's signals."""
    await api.rows.record("fast", payloads("fast", 5), part=0)
    after = (await api.http.get("/v1/signals")).json()["next"]
    await api.rows.record("slow", payloads("slow", 2), part=2)
    page = (await api.http.get("/v1/signals", params={"after": after})).json()
    assert [signal["account"]["id"] for signal in page["data"]] == ["slow", "slow"]


async def test_latest_begins_with_what_comes_next(api: Api) -> None:
    """`after=latest` answers nothing but a place, from which only new signals follow."""
    await api.rows.record("old", payloads("old", 3), part=0)
    start = (await api.http.get("/v1/signals", params={"after": "latest"})).json()
    assert start["data"] == []
    await api.rows.record("new", payloads("new", 1), part=1)
    page = (await api.http.get("/v1/signals", params={"after": start["next"]})).json()
    assert [signal["account"]["id"] for signal in page["data"]] == ["new"]


async def test_what_erasure_has_blanked_is_passed_over(api: Api, database: AsyncEngine) -> None:
    """More than a page of it too: empty `data` means that nothing is left."""
    for name, count in (("gone", 5), ("kept", 1)):
        await api.rows.record(name, payloads(name, count), part=0)
    async with database.begin() as connection:
        await connection.execute(sa.text("UPDATE activation.ledger SET payload = NULL WHERE account_id = 'gone'"))
    page = (await api.http.get("/v1/signals", params={"limit": 2})).json()
    assert [signal["account"]["id"] for signal in page["data"]] == ["kept"]


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


NOT_POSITIONS = [[], {"a": 1}, {"0": -1}, {"0": 2**63}, {"-1": 1}, {str(2**40): 1}, {"0": "1"}, {"0": True}]


@pytest.mark.parametrize("text", ["", "!", "W1tb" * 1000, *map(_encoded, NOT_POSITIONS)])
async def test_places_that_are_not_ours_are_refused(api: Api, text: str) -> None:
    """A cursor or position that nobody was given is a problem of the caller, never a failure of ours."""
    answer = await api.http.get("/v1/signals", params={"after": text})
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")
    answer = await api.http.get("/v1/accounts/a", params={"after": text})
    assert (answer.status_code, answer.json()["code"]) == (400, "position_invalid")


async def test_a_position_is_waited_for(api: Api) -> None:
    """The answer comes once every partition of the position is applied, and not before."""
    await api.rows.apply("a", usage("a", "x", day=0))
    position = encode_position({0: 5, 2: 3})
    asked = asyncio.create_task(api.http.get("/v1/accounts/a", params={"after": position}))
    await api.rows.move_lease(0, next_offset=5)
    await api.rows.move_lease(2, next_offset=2)
    done, _ = await asyncio.wait({asked}, timeout=0.2)
    assert not done
    await api.rows.move_lease(2, next_offset=4)
    answer = await asyncio.wait_for(asked, 3)
    assert answer.status_code == 200


async def test_a_position_that_is_not_applied_times_out(impatient_api: Api) -> None:
    """After the bound, and not before, the answer is 504 `not_yet_applied`."""
    api = impatient_api
    await api.rows.apply("a", usage("a", "x", day=0))
    began = time.monotonic()
    answer = await api.http.get("/v1/accounts/a", params={"after": encode_position({1: 10})})
    assert (answer.status_code, answer.json()["code"]) == (504, "not_yet_applied")
    assert 0.3 <= time.monotonic() - began < 3


async def test_a_database_that_is_away_is_no_failure_of_ours() -> None:
    """503 `database_unavailable` with Retry-After, so that clients come back."""
    away = connect("postgresql://nobody@127.0.0.1:1/nothing", service="test")
    keys = KeyRing(away, admin_key="k", pepper="")
    app = new_engine_api(reads=away, keys=keys, partitions=lambda: 1, operations=operations_over(away))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://engine") as client:
        for path in ("/v1/accounts", "/v1/accounts/a", "/v1/signals", "/v1/plans", "/v1/partitions"):
            answer = await client.get(path, headers={"authorization": "Bearer k"})
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
    await away.dispose()


async def test_partitions_show_how_far_they_are(api: Api) -> None:
    """Operators see owner, state, and what is not published."""
    await api.rows.move_lease(1, next_offset=12, last_append_ms=START_MS, out_seq=9, published_seq=4)
    await api.rows.move_lease(2, stopped="offset_gap: records 3 to 9 are gone", owner=None)
    await api.rows.move_lease(0, owner=None, hold_until_ms=START_MS + 1)
    answer = await api.http.get("/v1/partitions")
    PartitionList.model_validate(answer.json())
    first, second, third = answer.json()["data"]
    assert [row["state"] for row in (first, second, third)] == ["unclaimed", "running", "stopped"]
    assert (second["next_offset"], second["unpublished_signals"], second["last_append_at"]) == (
        12,
        5,
        "2026-01-01T00:00:00Z",
    )
    assert second["behind_seconds"] > 0
    assert first["holding"]
    assert "offset_gap" in third["problem"]
    assert len(answer.json()["data"]) == PARTITIONS
