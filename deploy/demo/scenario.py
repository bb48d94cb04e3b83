"""What eight simulated customers do with a product, as data: who they are and what happens on which day of the demo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

DAY_SECONDS = 0.8
# The engine is killed on this day, and is back after its session timeout of 6 s: about seven days.
OUTAGE_DAY = 55.0
LAST_DAY = 72.8

Segment = Literal["smb", "mid_market", "enterprise"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A customer that signs on day 0; `heard_from` is the system that tells Firstvalue so."""

    id: str
    name: str
    segment: Segment
    owner: str
    heard_from: Literal["crm", "sdk"]
    story: str


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a person at a customer does: `event` None is a page view.

    It is sent on `day`, `copies` times under one message id; it happened on `happened_day`, earlier when the client
    kept it for a while.
    """

    account_id: str
    day: float
    person: str
    event: str | None
    happened_day: float
    copies: int = 1

    @property
    def is_late(self) -> bool:
        """Sent later than it happened."""
        return self.happened_day < self.day


def _did(day: float, event: str, person: str = "ana", *, happened: float | None = None, copies: int = 1) -> Act:
    happened_day = day if happened is None else happened
    return Act(account_id="", day=day, person=person, event=event, happened_day=happened_day, copies=copies)


def _looked(*days: float) -> Iterator[Act]:
    """Page views on these days by the three people of an account in turn."""
    for number, day in enumerate(days):
        person = ("cleo", "ben", "ana")[number % 3]
        yield Act(account_id="", day=day, person=person, event=None, happened_day=day)


def _account(
    name: str,
    segment: Segment,
    owner: str,
    story: str,
    *acts: Act | Iterable[Act],
    heard_from: Literal["crm", "sdk"] = "crm",
) -> tuple[Account, tuple[Act, ...]]:
    account = Account(
        id=name.lower().replace(" ", "-"),
        name=name,
        segment=segment,
        owner=f"{owner}@vendor.example",
        heard_from=heard_from,
        story=story,
    )
    flat = [act for entry in acts for act in ([entry] if isinstance(entry, Act) else entry)]
    return account, tuple(replace(act, account_id=account.id) for act in flat)


_CAST = (
    _account(
        *("Bright Bakery", "smb", "dana", "goes fast; some of its events come twice or out of order"),
        _did(1, "Integration Connected"),
        _did(2, "Training Completed", "ben"),
        _did(4, "Workflow Run", "ben"),
        _did(4.5, "Data Imported", happened=3, copies=2),
        _did(8, "Report Generated", "ben", copies=3),
        _did(20, "Opportunity Influenced", copies=2),
        _did(30, "Opportunity Influenced", "ben"),
        _looked(6, 14),
    ),
    _account(
        *("Tiny Tooling", "smb", "dana", "starts well, then everybody falls silent"),
        _did(1, "Integration Connected"),
        _did(2, "Data Imported", copies=2),
        _did(4, "Workflow Run", "ben"),
    ),
    _account(
        *("Lumen Dental", "smb", "eric", "stalls before its first workflow, then recovers"),
        _did(2, "Integration Connected"),
        _did(4, "Data Imported", "ben"),
        _did(22, "Workflow Run", copies=2),
        _did(23, "Report Generated", "ben"),
        _did(39, "Account Prioritized"),
        _looked(8, 12, 16, 20, 30, 36),
        heard_from="sdk",
    ),
    _account(
        *("Cobalt Press", "mid_market", "eric", "signed, and never started to use the product"),
    ),
    _account(
        *("Aster Logistics", "mid_market", "dana", "slow but fine; its outcome comes while the engine is down"),
        _did(5, "Integration Connected"),
        _did(6, "Training Completed", "ben"),
        _did(11, "Data Imported", "ben"),
        _did(12, "Workflow Run"),
        _did(27, "List Built", "ben", copies=2),
        _did(57, "Opportunity Influenced"),
        _looked(17, 22, 33, 41, 49),
    ),
    _account(
        *("Granite Mutual", "mid_market", "fay", "late with its first output, and back on track by itself"),
        _did(5.5, "Integration Connected", "ben"),
        _did(7, "Training Completed", happened=5),
        _did(13, "Data Imported"),
        _did(13.5, "Workflow Run", "ben", copies=2),
        _did(33, "Scoring Model Trained"),
        _did(52, "Account Prioritized", "ben"),
        _looked(18, 24, 29, 40, 46),
    ),
    _account(
        *("Orchard Group", "enterprise", "fay", "stalls, until an event arrives that was kept offline for 15 days"),
        _did(4, "Integration Connected"),
        _did(10, "Data Imported", "ben"),
        _did(39, "Workflow Run", happened=24),
        _did(47, "List Built", "ben"),
        _looked(16, 22, 28, 34, 44, 53, 62, 70),
    ),
    _account(
        *("Juniper Health", "enterprise", "fay", "its people work on while the engine is down"),
        _did(3, "Integration Connected"),
        _did(9, "Data Imported", "ben"),
        _did(10, "Workflow Run"),
        _did(12, "Training Completed", "ben"),
        _did(19, "Report Generated"),
        # Fourteen quiet days end on day 60, while the engine is down; the visit on day 57 prevents the stall.
        _looked(15, 25, 35, 46, 57),
        _did(67, "Account Prioritized", "ben"),
        heard_from="sdk",
    ),
)

ACCOUNTS: tuple[Account, ...] = tuple(account for account, _ in _CAST)
ACTS: tuple[Act, ...] = tuple(sorted((act for _, acts in _CAST for act in acts), key=lambda act: act.day))
