"""What an endpoint may ask for: finer filters, custom headers, a pace, its own schedule, hours of delivery."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.builders_signals import SignalPublisher, a_signal
from tests.fakes.receiver import Receiver, answer, verify
from tests.running_notifier import NotifierClient, Servers, query, running
from tests.waiting import until

URL = "http://127.0.0.1:9/hook"


async def ping(notifier: NotifierClient, endpoint: Any) -> str:
    """The id of a ping's delivery."""
    sent = await notifier.ask("POST", f"/v1/endpoints/{endpoint['id']}/ping", status=202)
    return str(sent["delivery_id"])


async def test_filters_choose_by_plan_segment_owner_and_reason(surroundings: Servers) -> None:
    """Each endpoint gets what says what it asked for."""
    publisher = SignalPublisher(surroundings.kafka_bootstrap, surroundings.topic)
    async with Receiver() as receiver, running(surroundings) as notifier, publisher:
        chosen = {
            "plan": {"plans": ["b2b-saas", "api-product"]},
            "other-plan": {"plans": ["api-product"]},
            "segment": {"segments": ["smb"], "owners": ["dana@vendor.example"]},
            "other-owner": {"segments": ["smb"], "owners": ["kim@vendor.example"]},
            "reason": {"reasons": ["milestone_overdue"]},
            "other-reason": {"reasons": ["quiet"]},
        }
        for path, terms in chosen.items():
            made = await notifier.add_endpoint(receiver.url(f"/{path}"), **terms)
            assert {name: made[name] for name in terms} == terms
        await publisher.publish([a_signal(), a_signal(), a_signal(type="account.erased", account_id="other")])
        await receiver.wait_for(3 * 2 + 6)
        got = sorted(each.path for each in receiver.received)
        assert got == sorted(["/plan", "/segment", "/reason"] * 2 + [f"/{path}" for path in chosen])
        await query(surroundings, "UPDATE notifier.endpoint SET enabled = false, deleted_at = now()")


async def test_custom_headers_go_along_and_are_not_readable_at_rest(surroundings: Servers) -> None:
    """They arrive beside ours, their names are listed, their values only with the secrets; a change replaces them."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        headers = {"Authorization": "Bearer example-token", "X-Team": "cs"}
        endpoint = await notifier.add_endpoint(receiver.url(), headers=headers)
        assert endpoint["header_names"] == ["authorization", "x-team"]
        assert "example-token" not in str(await notifier.ask("GET", f"/v1/endpoints/{endpoint['id']}"))
        shown = await notifier.ask("GET", f"/v1/endpoints/{endpoint['id']}/secret")
        assert shown["headers"] == {"authorization": "Bearer example-token", "x-team": "cs"}
        rows = await query(surroundings, "SELECT e::text AS t FROM notifier.endpoint e")
        rows += await query(surroundings, "SELECT encode(ciphertext, 'escape') AS t FROM notifier.endpoint_secret")
        assert not any("example-token" in row["t"] for row in rows)
        await ping(notifier, endpoint)
        (request,) = await receiver.wait_for(1)
        assert (request.headers["authorization"], request.headers["x-team"]) == ("Bearer example-token", "cs")
        assert request.headers["webhook-attempt"] == "1"
        verify(request, endpoint["secret"])
        await notifier.ask("PATCH", f"/v1/endpoints/{endpoint['id']}", json={"headers": {"x-team": "sales"}})
        await ping(notifier, endpoint)
        second = (await receiver.wait_for(2))[1]
        assert second.headers["x-team"] == "sales"
        assert "authorization" not in second.headers


async def test_rate_spaces_requests(surroundings: Servers) -> None:
    """After the burst requests come at the rate, none is lost, and a change of the rate takes effect."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), rate_per_second=8, burst=2)
        arrived: list[float] = []

        async def note(request: Any, writer: Any) -> None:
            arrived.append(asyncio.get_running_loop().time())
            await answer(200)(request, writer)

        receiver.behaviour = note
        await asyncio.gather(*(ping(notifier, endpoint) for _ in range(12)))
        await receiver.wait_for(12)
        # 12 requests are 2 at once and 10 at 125 ms. None is early, but a busy machine may note the first one late.
        assert arrived[-1] - arrived[0] >= 10 / 8 / 2
        slower = await notifier.ask("PATCH", f"/v1/endpoints/{endpoint['id']}", json={"rate_per_second": 2.5})
        assert (slower["rate_per_second"], slower["burst"]) == (2.5, 3)
        freed = await notifier.ask("PATCH", f"/v1/endpoints/{endpoint['id']}", json={"rate_per_second": None})
        assert (freed["rate_per_second"], freed["burst"]) == (None, None)
        for _ in range(12):
            await ping(notifier, endpoint)
        await receiver.wait_for(24)


async def test_own_schedule_replaces_the_settings(surroundings: Servers) -> None:
    """One retry after a second, then given up, although the settings would go on."""
    async with Receiver(behaviour=answer(500)) as receiver, running(surroundings) as notifier:
        endpoint = await notifier.add_endpoint(receiver.url(), retry_schedule_seconds=[1])
        delivery_id = await ping(notifier, endpoint)

        async def given_up() -> Any:
            found = await notifier.ask("GET", f"/v1/deliveries/{delivery_id}")
            return found if found["status"] == "exhausted" else None

        assert (await until(given_up))["attempts"] == 2


async def test_deliveries_wait_for_the_window(surroundings: Servers) -> None:
    """Outside its hours an endpoint gets nothing; when the window opens, or is taken away, it gets everything."""
    async with Receiver() as receiver, running(surroundings) as notifier:
        hour = datetime.now(UTC).hour
        closed = {"time_zone": "UTC", "from": f"{(hour + 3) % 24:02}:00", "until": f"{(hour + 4) % 24:02}:00"}
        quiet = await notifier.add_endpoint(receiver.url("/quiet"), delivery_window=closed)
        awake = await notifier.add_endpoint(receiver.url("/awake"))
        assert quiet["delivery_window"] == {**closed, "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
        assert (quiet["window_open"], awake["window_open"]) == (False, True)
        waiting = await ping(notifier, quiet)
        await ping(notifier, awake)
        await receiver.wait_for(1)
        found = await notifier.ask("GET", f"/v1/deliveries/{waiting}")
        assert (found["status"], found["attempts"]) == ("pending", 0)
        opened = await notifier.ask(
            "PATCH", f"/v1/endpoints/{quiet['id']}", json={"delivery_window": {**closed, "from": f"{hour:02}:00"}}
        )
        assert opened["window_open"]
        await receiver.wait_for(2)
        assert [each.path for each in receiver.received] == ["/awake", "/quiet"]


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        # Berlin: UTC+1 in winter, UTC+2 in summer; clocks change on 2026-03-29 and 2026-10-25 at 01:00 UTC.
        ('{"from": "08:00", "until": "18:00"}', "2026-03-28T06:59:59Z", False),
        ('{"from": "08:00", "until": "18:00"}', "2026-03-28T07:00:00Z", True),
        ('{"from": "08:00", "until": "18:00"}', "2026-03-29T05:59:59Z", False),
        ('{"from": "08:00", "until": "18:00"}', "2026-03-29T06:00:00Z", True),
        ('{"from": "08:00", "until": "18:00"}', "2026-03-29T16:00:00Z", False),
        ('{"from": "08:00", "until": "18:00"}', "2026-10-25T06:59:59Z", False),
        ('{"from": "08:00", "until": "18:00"}', "2026-10-25T07:00:00Z", True),
        # 02:00-03:00 does not exist in March, and comes twice in October.
        ('{"from": "02:30", "until": "04:00"}', "2026-03-29T00:59:59Z", False),
        ('{"from": "02:30", "until": "04:00"}', "2026-03-29T01:00:00Z", True),
        ('{"from": "02:30", "until": "04:00"}', "2026-10-25T00:30:00Z", True),
        ('{"from": "02:30", "until": "04:00"}', "2026-10-25T01:10:00Z", False),
        ('{"from": "02:30", "until": "04:00"}', "2026-10-25T01:30:00Z", True),
        # Over midnight, by the day on which it opens: Friday evening until Saturday morning.
        ('{"from": "22:00", "until": "06:00", "days": ["fri"]}', "2026-11-27T20:59:59Z", False),
        ('{"from": "22:00", "until": "06:00", "days": ["fri"]}', "2026-11-27T21:00:00Z", True),
        ('{"from": "22:00", "until": "06:00", "days": ["fri"]}', "2026-11-28T04:59:59Z", True),
        ('{"from": "22:00", "until": "06:00", "days": ["fri"]}', "2026-11-28T05:00:00Z", False),
        ('{"from": "22:00", "until": "06:00", "days": ["fri"]}', "2026-11-28T21:00:00Z", False),
        ('{"from": "09:00", "until": "09:00", "days": ["sat"]}', "2026-11-28T08:00:00Z", True),
        ('{"from": "09:00", "until": "09:00", "days": ["sat"]}', "2026-11-29T08:00:00Z", False),
        ('{"from": "00:00", "until": "00:01", "time_zone": "Gone/Away"}', "2026-11-29T08:00:00Z", True),
        (None, "2026-11-29T08:00:00Z", True),
    ],
)
async def test_windows_follow_the_clock_of_the_place(
    surroundings: Servers, window: str | None, moment: str, is_open: bool
) -> None:
    """Through changes of the clock, over midnight, by days; a zone that is gone holds nothing back."""
    week = '{"time_zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}'
    statement = "SELECT notifier.window_open($1::jsonb || $2::jsonb, $3) AS open"
    (row,) = await query(surroundings, statement, week, window, datetime.fromisoformat(moment))
    assert row["open"] is is_open


async def test_mistakes_in_terms_are_refused_with_advice(surroundings: Servers) -> None:
    """By code and in words, on creation and on change; nothing of the change is kept."""
    async with running(surroundings) as notifier:
        made = await notifier.add_endpoint(URL)
        path = f"/v1/endpoints/{made['id']}"
        for body, code, advice in [
            ({}, "invalid_request", "name at least one field"),
            ({"tipes": []}, "invalid_request", "you probably mean types"),
            ({"format": "slack"}, "invalid_request", "add another endpoint"),
            ({"burst": 5}, "burst_without_rate", "rate_per_second"),
            (
                {"delivery_window": {"time_zone": "Berlin", "from": "08:00", "until": "18:00"}},
                "time_zone_unknown",
                "Europe/Berlin",
            ),
            ({"headers": {"webhook-id": "1"}, "description": "kept?"}, "invalid_request", "set for every webhook"),
        ]:
            problem = await notifier.ask("PATCH", path, status=422, json=body)
            assert problem["code"] == code, body
            assert advice in problem["message"], problem
            assert "Value error" not in problem["message"]
        assert (await notifier.ask("GET", path)) == {
            name: value for name, value in made.items() if name not in ("secret", "public_key")
        }
