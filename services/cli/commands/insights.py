"""`firstvalue insight`: what all accounts of a plan together tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from services.cli.addresses import EngineUrl, Key, find
from services.cli.client import Client
from services.cli.insight_tables import (
    Answer,
    show_adoption,
    show_funnel,
    show_obstacles,
    show_owners,
    show_status,
    show_surprises,
    show_ttfv,
)
from services.cli.output import ROWS_DEFAULT, AsJson, print_json, say

app = typer.Typer()

PlanOption = Annotated[str | None, typer.Option("--plan", help="Default: the only live plan.")]
SegmentOption = Annotated[str | None, typer.Option("--segment", help="Of this segment only.")]
OwnerOption = Annotated[str | None, typer.Option("--owner", help="Of this owner only.")]
FromOption = Annotated[str | None, typer.Option("--started-from", help="Started on or after, for example 2026-11-01.")]
ToOption = Annotated[str | None, typer.Option("--started-to", help="Started before.")]
ByOption = Annotated[
    Literal["month", "segment", "owner"], typer.Option("--by", help="What makes a cohort; month is that of the start.")
]
Printer = Callable[[Answer], None]


def _register(name: str, summary: str, show: Printer, *, cohorts: bool) -> None:
    def answered(
        plan: PlanOption = None,
        segment: SegmentOption = None,
        owner: OwnerOption = None,
        started_from: FromOption = None,
        started_to: ToOption = None,
        engine_url: EngineUrl = None,
        key: Key = None,
        as_json: AsJson = False,
    ) -> None:
        wanted = {"plan": plan, "segment": segment, "owner": owner}
        _ask(name, wanted | _starts(started_from, started_to), engine_url, key, show, as_json=as_json)

    def answered_by_cohort(
        plan: PlanOption = None,
        segment: SegmentOption = None,
        owner: OwnerOption = None,
        started_from: FromOption = None,
        started_to: ToOption = None,
        by: ByOption = "month",
        engine_url: EngineUrl = None,
        key: Key = None,
        as_json: AsJson = False,
    ) -> None:
        wanted = {"plan": plan, "segment": segment, "owner": owner, "by": by}
        _ask(name, wanted | _starts(started_from, started_to), engine_url, key, show, as_json=as_json)

    app.command(name, help=summary)(answered_by_cohort if cohorts else answered)


def _starts(started_from: str | None, started_to: str | None) -> Answer:
    return {"started_from": started_from, "started_to": started_to}


def _ask(name: str, wanted: Answer, url: str | None, key: str | None, show: Printer, *, as_json: bool) -> None:
    answer = Client(find("engine", url=url, key=key)).ask("GET", f"/v1/insights/{name}", parameters=wanted)
    if as_json:
        print_json(answer)
        return
    say(answer["text"])
    if "plan" in answer:
        say(f"{answer['plan']} version {answer['version']}, as of {answer['as_of'] or 'no tick yet'}")
    say("")
    show(answer)


_register("status", "How many accounts have each status.", show_status, cohorts=True)
_register("funnel", "How many accounts reach each milestone, and when.", show_funnel, cohorts=True)
_register("ttfv", "Time to first value and activation rate, by Kaplan-Meier.", show_ttfv, cohorts=True)
_register("adoption", "How much of the product accounts use, and how often.", show_adoption, cohorts=True)
_register("obstacles", "What accounts on the way wait for.", show_obstacles, cohorts=False)
_register("owners", "How the accounts of each owner fare.", show_owners, cohorts=False)


@app.command()
def surprises(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows at most.")] = ROWS_DEFAULT,
    engine_url: EngineUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Frequent events that no live plan mentions."""
    _ask("surprises", {"limit": limit}, engine_url, key, show_surprises, as_json=as_json)
