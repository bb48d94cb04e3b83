"""Times in GET /v1/insights/…: over accounts of every kind they are those that numpy finds in the same accounts."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.engine_api.conftest import Api
from tests.integration.engine_api.insight_accounts import Accounts

# What is shown is rounded to a hundredth of a day, and so is each account's time before.
_HUNDREDTH = 0.0101


@pytest.fixture
async def drawn(api: Api, database: AsyncEngine) -> list[dict[str, Any]]:
    """Accounts of two segments; dates, some before the start, are any millisecond."""
    accounts = Accounts(api, database)
    await accounts.publish()
    random = Random(7)
    made: list[dict[str, Any]] = []
    for _ in range(120):
        dates = {name: random.uniform(-20, 40) for name in ("data", "output") if random.random() < 0.7}
        made.append({"start": random.uniform(0, 20), "segment": random.choice(("smb", "big")), **dates})
        await accounts.add(**made[-1])
    return made


async def test_the_funnel_s_times_are_those_of_its_accounts(api: Api, drawn: list[dict[str, Any]]) -> None:
    """Of all and of each segment, from the start and from the milestone before."""
    found = (await api.http.get("/v1/insights/funnel?by=segment")).json()
    of_segment = defaultdict(list)
    for account in drawn:
        of_segment[account["segment"]].append(account)
    assert sorted(of_segment) == [one["cohort"] for one in found["cohorts"]]
    _compare(found["total"], drawn)
    for cohort in found["cohorts"]:
        _compare(cohort, of_segment[cohort["cohort"]])


def _compare(found: dict[str, Any], accounts: list[dict[str, Any]]) -> None:
    output, data = found["milestones"]
    assert (output["id"], data["id"]) == ("first_output", "first_data")
    both = [one for one in accounts if "data" in one and "output" in one]
    steps = [max(max(one["data"], 0) - max(one["output"], 0), 0) for one in both]
    assert (found["accounts"], data["reached_both"]) == (len(accounts), len(both))
    assert [data["step_median_days"], data["step_p90_days"]] == pytest.approx(_shown(steps), abs=_HUNDREDTH)
    for name, milestone in (("data", data), ("output", output)):
        days = [max(one[name], 0) for one in accounts if name in one]
        assert milestone["reached"] == len(days)
        assert [milestone["median_days"], milestone["p90_days"]] == pytest.approx(_shown(days), abs=_HUNDREDTH)


async def test_the_naive_median_is_that_of_those_done(api: Api, drawn: list[dict[str, Any]]) -> None:
    """Of all, whatever the segment."""
    total = (await api.http.get("/v1/insights/ttfv")).json()["total"]
    done = [max(one["output"], 0) for one in drawn if "output" in one]
    assert (total["reached"], total["on_the_way"]) == (len(done), len(drawn) - len(done))
    assert total["naive_median_days"] == pytest.approx(_shown(done)[0], abs=_HUNDREDTH)


def _shown(days: list[float]) -> list[float]:
    return [round(float(one), 2) for one in np.percentile(days, [50, 90])]
