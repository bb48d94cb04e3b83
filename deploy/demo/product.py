"""The simulated product: it reports usage through the published Segment SDK, and customers through commands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from segment.analytics import Client

from deploy.demo.scenario import ACCOUNTS, ACTS, Account, Act
from deploy.demo.services_client import ServicesClient
from deploy.demo.story_calendar import Calendar

_UPLOAD_SECONDS = 0.05


class Product:
    """Plays the scenario; `sent` counts by message id what was handed to the SDK or to ingest, `late` late events."""

    def __init__(self, *, ingest_url: str, write_key: str, services: ServicesClient) -> None:
        self.sent: Counter[str] = Counter()
        self.late = 0
        self.upload_errors: list[str] = []
        self._services = services
        self._sdk = Client(
            write_key,
            host=ingest_url,
            upload_interval=_UPLOAD_SECONDS,
            max_retries=4,
            on_error=lambda error, _items: self.upload_errors.append(str(error)),
        )

    async def play(self, calendar: Calendar, *, on_act: Callable[[Act], None]) -> None:
        """Every contract and act on its day; returns after the last."""
        contracts = [self._sign(account, calendar) for account in ACCOUNTS]
        acts = [self._perform(act, f"act-{number:03}", calendar, on_act) for number, act in enumerate(ACTS)]
        await asyncio.gather(*contracts, *acts)

    async def close(self) -> None:
        """Returns when everything is uploaded."""
        await asyncio.to_thread(self._sdk.shutdown)

    async def _sign(self, account: Account, calendar: Calendar) -> None:
        traits = {
            "name": account.name,
            "segment": account.segment,
            "owner": account.owner,
            "contract_start": calendar.moment(0).isoformat(timespec="milliseconds"),
        }
        message_id = f"contract-{account.id}"
        self.sent[message_id] += 1
        if account.heard_from == "sdk":
            self._sdk.group(_user(account.id, "ana"), account.id, traits=traits, message_id=message_id)
        else:
            command = {"command": "set", "account_id": account.id, "message_id": message_id, "traits": traits}
            await self._services.command(command)

    async def _perform(self, act: Act, message_id: str, calendar: Calendar, on_act: Callable[[Act], None]) -> None:
        await calendar.until(act.day)
        for _ in range(act.copies):
            self._report(act, message_id, calendar)
        self.sent[message_id] += act.copies
        self.late += act.is_late
        on_act(act)

    def _report(self, act: Act, message_id: str, calendar: Calendar) -> None:
        details: dict[str, Any] = {
            "user_id": _user(act.account_id, act.person),
            "context": {"groupId": act.account_id},
            "timestamp": calendar.moment(act.happened_day),
            "message_id": message_id,
        }
        if act.event is None:
            self._sdk.page(name="Dashboard", **details)
        else:
            self._sdk.track(event=act.event, **details)


def _user(account_id: str, person: str) -> str:
    return f"{person}@{account_id}.example"
