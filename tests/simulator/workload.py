"""What happens to the accounts: random records under a small plan, whose versions go live on the way.

The one file to extend when the plan language or the commands grow; the oracle folds whatever is written here.
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
from tests.fakes.engine_records import tick_value

EVENTS, SIGNALS = "events", "signals"
PARTS = 3
PLAN_ID = "quick"
DAY_MS = 60_000

PLAN = """
plan: quick
day: 60s
events:
  data.imported: [Data Imported]
  report.made: [Report Made]
start: [contract_start, first_event]
segments:
  smb: {pace: 0.5, window: 20d}
  large: {pace: 1, window: 30d}
  else: large
grace: 1d
milestones:
  data: {due: 2d, when: data.imported}
  output: {due: 4d, needs: [data], when: report.made}
  habit: {when: {event: report.made, count: 3}, required: false}
first_value: output
stalled: {overdue: 3d, quiet: 8d}
"""
# Each later version changes what accounts have reached and when they are late.
VERSIONS = (
    PLAN,
    PLAN.replace("count: 3", "count: 2").replace("quiet: 8d", "quiet: 6d"),
    PLAN.replace("habit: {when", "seen: {due: 1d, when: page.viewed}\n  habit: {when").replace(
        "output: {due: 4d", "output: {due: 3d"
    ),
)
NAMES = ("Data Imported", "Report Made", "Report Made", "page.viewed", "Page Viewed")
TRAITS: tuple[dict[str, Any], ...] = (
    {"segment": "smb"},
    {"segment": "large"},
    {"segment": None},
    {"name": "Acme", "owner": "dana"},
    {"contract_start": to_rfc3339(START_MS - DAY_MS)},
    {"contract_start": to_rfc3339(START_MS + 20 * DAY_MS)},
)
ORDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("set", {"traits": traits}) for traits in TRAITS),
    ("pause", {"reason": "audit"}),
    ("resume", {}),
    ("snooze", {"kind": "at_risk", "until": to_rfc3339(START_MS + 15 * DAY_MS)}),
    ("mark", {"milestone": "data", "at": to_rfc3339(START_MS + DAY_MS)}),
    # Without its date: a dead letter.
    ("mark", {"milestone": "output"}),
    ("waive", {"milestone": "habit"}),
    ("close", {"reason": "churned"}),
    ("reopen", {}),
    ("note", {"text": "called"}),
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
            self.at_ms += self.dice.randrange(1, DAY_MS // 4)
            record = self._record()
            self._sent.append(record)
            yield record
        if self.dice.random() < 0.7:
            yield from self.ticks()

    def ticks(self) -> Iterator[Sent]:
        """A tick for every partition; once in a while nothing was accepted for a while before it."""
        self.at_ms += 400_000 if self.dice.random() < 0.02 else self.dice.randrange(1, 2 * DAY_MS)
        for part in range(PARTS):
            yield Sent(part, None, tick_value(self.at_ms), self.at_ms)

    def _record(self) -> Sent:
        account = f"account-{self.dice.randrange(self.accounts)}"
        kind = self.dice.random()
        if kind < 0.15 and self._sent:
            return self.dice.choice(self._sent[-40:])._replace(at_ms=self.at_ms)
        if kind < 0.18:
            return Sent(part_of(account), account.encode(), self.dice.choice(POISON), self.at_ms)
        if kind < 0.28:
            command, fields = self.dice.choice(ORDERS)
            body = {"command": command, "account_id": account, **fields}
            return self._value(account, type="command", event=command, body=body)
        late_ms = self.dice.choice([0, 0, 0, DAY_MS // 2, 3 * DAY_MS])
        user, staff = f"user-{self.dice.randrange(3)}", self.dice.random() < 0.05
        return self._value(
            account, type="track", event=self.dice.choice(NAMES), late_ms=late_ms, user_id=user, staff=staff
        )

    def _value(self, account: str, *, late_ms: int = 0, body: object = None, **envelope: Any) -> Sent:
        self._messages += 1
        value = {
            "v": 1,
            "source": "simulator",
            "message_id": f"m{self._messages}",
            "account_id": account,
            "received_at": to_rfc3339(self.at_ms),
            "occurred_at": to_rfc3339(self.at_ms - late_ms),
            "body": body or {},
            **envelope,
        }
        return Sent(part_of(account), account.encode(), msgspec.json.encode(value), self.at_ms)
