"""What happens to the accounts: random records of every kind, while plan versions go live on the way.

The one file to extend when the commands grow, as `plans.py` is for the plan language; the oracle folds whatever is
written here.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.timestamps import to_rfc3339
from tests.builders import START_MS
from tests.fakes.engine_records import command_value, record_value, tick_value
from tests.simulator.plans import SIDE_PLAN

EVENTS, SIGNALS = "events", "signals"
PARTS = 3
MINUTE_MS = 60_000

NAMES = ("Data Imported", "Report Made", "Report Made", "page.viewed", "Page Viewed")
USERS = ("user-0", "user-1", "user-2")
TRAITS: tuple[dict[str, Any], ...] = (
    {"segment": "smb"},
    {"segment": "large"},
    {"segment": None},
    {"name": "Acme", "owner": "dana"},
    {"contract_start": to_rfc3339(START_MS - MINUTE_MS)},
    {"contract_start": to_rfc3339(START_MS + 20 * MINUTE_MS)},
    {"renewal_at": to_rfc3339(START_MS + 25 * MINUTE_MS)},
)
ORDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("set", {"traits": traits}) for traits in TRAITS),
    ("pause", {"reason": "audit"}),
    ("pause", {"reason": "holidays", "until": to_rfc3339(START_MS + 20 * MINUTE_MS)}),
    *(2 * (("resume", {}),)),
    ("snooze", {"kind": "at_risk", "until": to_rfc3339(START_MS + 15 * MINUTE_MS)}),
    ("mark", {"milestone": "data", "at": to_rfc3339(START_MS + MINUTE_MS)}),
    ("mark", {"milestone": "output"}),
    ("waive", {"milestone": "habit"}),
    ("close", {"reason": "churned"}),
    *(2 * (("reopen", {}),)),
    ("move", {"plan": SIDE_PLAN}),
    ("move", {"plan": None}),
    *(("note", {"event": name}) for name in ("concern.raised", "concern.resolved", "advocacy.asked")),
    # Dead letters: one without its event, one that no release knows.
    ("note", {"text": "called"}),
    *(("promote", {"user_id": user}) for user in USERS),
)
ERASURES: tuple[tuple[str, dict[str, Any]], ...] = (
    *(len(USERS) * (("erase", {}),)),
    *(("erase_person", {"user_id": user}) for user in USERS),
)
POISON: tuple[bytes | None, ...] = (b"{", b'{"v": 7}', None)


def part_of(account: str) -> int:
    """The partition that an account lives in."""
    return zlib.crc32(account.encode()) % PARTS


class Sent(NamedTuple):
    """A record to append."""

    part: int
    key: bytes | None
    value: bytes | None
    at_ms: int


@dataclass
class Workload:
    """Bursts of records; the log's time runs on its own, minutes of it while the world takes seconds."""

    dice: random.Random
    accounts: int
    at_ms: int = START_MS
    _sent: list[Sent] = field(default_factory=list)
    _messages: int = 0

    def burst(self) -> Iterator[Sent]:
        """Some records of some accounts, then perhaps a tick for every partition."""
        for _ in range(self.dice.randrange(1, 9)):
            self.at_ms += self.dice.randrange(1, MINUTE_MS // 4)
            record = self._record()
            self._sent.append(record)
            yield record
            if self.dice.random() < 0.2:
                yield from self._goes_on(record)
        if self.dice.random() < 0.7:
            yield from self.ticks()

    def ticks(self) -> Iterator[Sent]:
        """A tick for every partition; once in a while nothing was accepted for a while before it."""
        self.at_ms += 400_000 if self.dice.random() < 0.02 else self.dice.randrange(1, 2 * MINUTE_MS)
        for part in range(PARTS):
            yield Sent(part, None, tick_value(self.at_ms), self.at_ms)

    def _goes_on(self, sent: Sent) -> Iterator[Sent]:
        """The same use again and again, which changes nothing more."""
        use = {} if sent.value is None or sent.value in POISON else msgspec.json.decode(sent.value)
        for _ in range(4 if use.get("type") == "track" else 0):
            self.at_ms += 1
            at = to_rfc3339(self.at_ms)
            again = use | {"message_id": self._message(), "received_at": at, "occurred_at": at}
            yield sent._replace(value=msgspec.json.encode(again), at_ms=self.at_ms)

    def _record(self) -> Sent:
        # No id is a part of another one, so that whoever was erased can be searched for.
        account = f"acme-{self.dice.randrange(self.accounts):02d}"
        kind = self.dice.random()
        if kind < 0.15 and self._sent:
            return self.dice.choice(self._sent[-40:])._replace(at_ms=self.at_ms)
        if kind < 0.18:
            return self._of(account, self.dice.choice(POISON))
        if kind < 0.33:
            return self._command(account, *self.dice.choice(ORDERS))
        if kind < 0.36:
            return self._command(account, *self.dice.choice(ERASURES))
        return self._of(account, self._use(account))

    def _command(self, account: str, name: str, fields: dict[str, Any]) -> Sent:
        return self._of(account, command_value(account, name, self._message(), at_ms=self.at_ms, **fields))

    def _use(self, account: str) -> bytes:
        """Somebody does something, or is only introduced."""
        late_ms = self.dice.choice([0, 0, 0, MINUTE_MS // 2, 3 * MINUTE_MS])
        user, staff = self.dice.choice(USERS), self.dice.random() < 0.05
        role = "champion" if user == USERS[0] else None
        kind = "identify" if self.dice.random() < 0.05 else "track"
        who = {"user_id": user, "staff": staff, "role": role, "body": {}}
        name = self.dice.choice(NAMES) if kind == "track" else None
        return record_value(account, self._message(), at_ms=self.at_ms, late_ms=late_ms, type=kind, event=name, **who)

    def _message(self) -> str:
        self._messages += 1
        return f"m{self._messages}"

    def _of(self, account: str, value: bytes | None) -> Sent:
        return Sent(part_of(account), account.encode(), value, self.at_ms)
