"""The product of a chaos run: sends events over HTTP and keeps a ledger of its own, written before anything is sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.chaos.violation import require

# One day is a fifth of a second: what is slow here is at risk and stalled before it goes on.
PLAN_ID = "quick"
_QUICK = ("Data Imported", "Page Viewed", "Report Made", "Report Made", "Page Viewed", "Report Made")
_SLOW = ("Page Viewed", "Page Viewed", "Page Viewed", "Page Viewed", "Data Imported", "Report Made")
_ACCOUNTS = 6
_UNNAMED = (1, 4)
_WORKERS = 3
_PAUSE_SECONDS = 0.25
_RETRY_SECONDS = 0.3
_COMMANDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("set", {"traits": {"name": "Acme"}}),
    ("pause", {"reason": "Holidays", "side": "customer"}),
    ("resume", {}),
    ("erase", {}),
)
# A client that gives up: what it sent may be there or not, but never half.
_GIVES_UP = 0.05
_REPEATS = 0.15


@dataclass(slots=True)
class Sent:
    """One event or command; `acked` once an answer said 200 for it. If not `named`, only its user says whose it is."""

    account_id: str
    name: str
    named: bool = True
    acked: bool = False


@dataclass(slots=True)
class Ledger:
    """What was sent, by message id, the accounts whose erasure was, and the ids that 200s called rejected."""

    sent: dict[str, Sent] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    retries: int = 0
    given_up: int = 0


class Product:
    """Sends until `stop`; all that is random comes from `seed`, apart from what the faults decide."""

    def __init__(self, *, clients: Sequence[Callable[[], httpx.AsyncClient]], seed: int) -> None:
        self.ledger = Ledger()
        self._clients = clients
        self._seed = seed
        self._stopping = False

    def stop(self) -> None:
        """Send what is begun, and nothing more."""
        self._stopping = True

    async def run(self) -> None:
        """Several clients side by side, each with its own accounts."""
        await asyncio.gather(*(self._work(number) for number in range(_WORKERS)))

    async def _work(self, worker: int) -> None:
        chance = random.Random(f"{self._seed}-{worker}")
        number = 0
        async with self._clients[worker % len(self._clients)]() as http:
            while not self._stopping:
                generation, turn = divmod(number, len(_QUICK))
                batch = self._batch(chance, worker, generation, turn)
                await self._post(http, chance, "/v1/batch", {"batch": batch}, {one["messageId"] for one in batch})
                if chance.random() < 0.2:
                    account = f"account-{worker}-{generation}-{chance.randrange(_ACCOUNTS)}"
                    await self._command(http, chance, account, f"command-{worker}-{number}")
                number += 1
                await asyncio.sleep(_PAUSE_SECONDS)

    def _batch(self, chance: random.Random, worker: int, generation: int, turn: int) -> list[dict[str, Any]]:
        batch = []
        for place in range(_ACCOUNTS):
            account = f"account-{worker}-{generation}-{place}"
            name = (_SLOW if place % 3 == 0 else _QUICK)[turn]
            message_id = f"event-{worker}-{generation}-{turn}-{place}"
            named = place not in _UNNAMED
            self.ledger.sent[message_id] = Sent(account, name, named)
            batch.append(_event(account, name, message_id, named=named))
        batch += [dict(chance.choice(batch)) for _ in batch if chance.random() < _REPEATS]
        # Whose the user is comes after events of it, which wait; again each time, for one may be given up.
        for place in _UNNAMED if turn else ():
            account, message_id = (
                f"account-{worker}-{generation}-{place}",
                f"group-{worker}-{generation}-{turn}-{place}",
            )
            self.ledger.sent[message_id] = Sent(account, "")
            batch.append(_group(account, message_id))
        if chance.random() < 0.2:
            # An identifier that would activate for everybody.
            batch.append(_event("null", "Page Viewed", f"invalid-{worker}-{generation}-{turn}", named=True))
        return batch

    async def _command(self, http: httpx.AsyncClient, chance: random.Random, account: str, message_id: str) -> None:
        name, fields = chance.choice(_COMMANDS)
        self.ledger.sent[message_id] = Sent(account, name)
        if name == "erase":
            self.ledger.erased.add(account)
        command = {"command": name, "account_id": account, "message_id": message_id, **fields}
        await self._post(http, chance, "/v1/commands", command, {message_id})

    async def _post(self, http: httpx.AsyncClient, chance: random.Random, path: str, body: Any, ids: set[str]) -> None:
        """Again and again until it is acknowledged, or until the client gives up."""
        while True:
            try:
                answer = await http.post(path, json=body)
            except httpx.TransportError:
                pass
            else:
                require(answer.status_code in (200, 503), "ingest answered", answer.status_code, answer.text)
                if answer.status_code == 200:
                    self._acked(answer.json(), ids)
                    return
            if chance.random() < _GIVES_UP:
                self.ledger.given_up += 1
                return
            self.ledger.retries += 1
            await asyncio.sleep(_RETRY_SECONDS)

    def _acked(self, answer: Any, ids: set[str]) -> None:
        rejected = {error["message_id"] for error in answer["errors"]}
        require(not rejected & self.ledger.sent.keys(), "a good event was rejected:", answer["errors"])
        self.ledger.rejected |= rejected
        for message_id in ids - rejected:
            self.ledger.sent[message_id].acked = True


def _event(account: str, name: str, message_id: str, *, named: bool) -> dict[str, Any]:
    return {
        "type": "track",
        "userId": f"user-of-{account}",
        "event": name,
        "messageId": message_id,
        "timestamp": datetime.now(UTC).isoformat(),
        "context": {"groupId": account} if named else {},
    }


def _group(account: str, message_id: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {
        "type": "group",
        "userId": f"user-of-{account}",
        "groupId": account,
        "messageId": message_id,
        "timestamp": now,
    }
