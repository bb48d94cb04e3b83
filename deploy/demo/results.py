"""How the demo ends: the table of accounts, the two figures that matter, the proof in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.plan import PLAN_ID
from deploy.demo.proof import Proof
from deploy.demo.scenario import ACCOUNTS

_STORY_WIDTH_MIN = 140
_COLOURS = {"activated": "green", "on_track": "green", "at_risk": "yellow", "stalled": "red"}


def accounts_table(rows: Sequence[Mapping[str, Any]], *, width: int) -> Table:
    """One row per account of the read API: where it stands and when it reached first value; its story if it fits."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = ["account", "segment", "owner", "status", "first value", "milestones"]
    with_story = width >= _STORY_WIDTH_MIN
    for heading in [*headings, "story"] if with_story else headings:
        table.add_column(heading, no_wrap=True)
    by_id = {row["id"]: row for row in rows}
    for account in ACCOUNTS:
        row = by_id[account.id]
        plan = plan_of(row)
        days = first_value_days(row)
        table.add_row(
            account.name,
            account.segment,
            account.owner.partition("@")[0],
            f"[{_COLOURS.get(plan['status'], 'white')}]{plan['status']}[/]",
            "" if days is None else f"after {days:.1f} days",
            f"{plan['completion_rate']:.0%}",
            *([account.story] if with_story else []),
        )
    return table


def figures(rows: Sequence[Mapping[str, Any]]) -> str:
    """Median time to first value over those that have one, and the activation rate over all that started."""
    days = [value for row in rows if (value := first_value_days(row)) is not None]
    median = f"{statistics.median(days):.1f} days (of the {len(days)} that reached it)" if days else "unknown"
    return (
        f"median time to first value: {median}; "
        f"activation rate: {len(days) / len(rows):.0%} ({len(days)} of the {len(rows)} accounts that started)"
    )


def plan_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The account's standing under the demo's plan."""
    return next(plan for plan in row["plans"] if plan["plan"] == PLAN_ID)


def first_value_days(row: Mapping[str, Any]) -> float | None:
    """Plan days from the contract's start to first value; None while it is not reached."""
    ttfv = plan_of(row).get("ttfv_days") or {}
    days = ttfv.get("gross")
    return None if days is None else float(days)


def proof_lines(proof: Proof) -> list[str]:
    """What was counted, one fact a line."""
    duplicates = proof.sent_records - proof.sent_events
    lines = [
        f"sent       {proof.sent_events} events and {duplicates} doubles of them, {proof.late_events} out of order; "
        f"in the topic: {proof.topic_records} records and {proof.ticks} ticks, {proof.missing_events} events missing",
        f"owed       {proof.owed_signals} signals by a plain fold of the topic, in {proof.owed_deliveries} deliveries",
        f"delivered  {proof.delivered}; lost {len(proof.lost)}, unfounded {len(proof.extra)}, "
        f"different from the fold {len(proof.unlike)}, delivered twice {len(proof.doubled)}",
        f"webhooks   {proof.requests} requests, {proof.forged} with a bad signature, "
        f"{proof.refused_by_receivers} answered 500 and tried again",
        f"engine     {_outage(proof)}; false stalls: {proof.false_stalls}",
    ]
    if proof.latency_milliseconds:
        lines.append(
            f"event to webhook: p50 {proof.latency(50):.0f} ms, p99 {proof.latency(99):.0f} ms "
            f"(from ingest, {len(proof.latency_milliseconds)} measured)"
        )
    return lines


def print_results(console: Console, rows: Sequence[Mapping[str, Any]], proof: Proof) -> None:
    """The whole ending, and the verdict."""
    console.print()
    console.print(accounts_table(rows, width=console.width))
    console.print()
    console.print(figures(rows), style="bold")
    console.print()
    for line in proof_lines(proof):
        console.print(line)
    for failure in proof.failures:
        console.print(f"FAILED     {failure}", style="bold red")
    if not proof.failures:
        console.print("PROVED     every signal that the topic owes was delivered, and no other", style="bold green")


def print_next_steps(console: Console) -> None:
    """What a person may try now."""
    console.print()
    console.print("Try next:", style="bold")
    console.print("  firstvalue demo --keep    this story again, and the stack stays up for a look around")
    console.print("  firstvalue up             an empty stack of your own; README.md has a ten-line tour")
    console.print("  make test                 the whole test suite, crashes included")


def _outage(proof: Proof) -> str:
    outage = proof.outage
    if outage.lasted_seconds is None:
        return f"process {outage.pid_before} killed with -9, not seen again"
    return f"process {outage.pid_before} killed with -9, back after {outage.lasted_seconds:.1f} s as {outage.pid_after}"
