"""`firstvalue insight`: what all accounts of a plan together tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from services.cli.client import Client, engine
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
from services.cli.shared_options import asking, composed

app = typer.Typer()

ByOption = Annotated[
    Literal["month", "segment", "owner"], typer.Option("--by", help="What makes a cohort; month is that of the start.")
]
Printer = Callable[[Answer], None]


def filters(
    *,
    plan: Annotated[str | None, typer.Option(help="Default: the only live plan.")] = None,
    segment: Annotated[str | None, typer.Option(help="Of this segment only.")] = None,
    owner: Annotated[str | None, typer.Option(help="Of this owner only.")] = None,
    started_from: Annotated[str | None, typer.Option(help="Started on or after, for example 2026-11-01.")] = None,
    started_to: Annotated[str | None, typer.Option(help="Started before.")] = None,
) -> Answer:
    """Which accounts to look at, as the API takes it."""
    starts = {"started_from": started_from, "started_to": started_to}
    return {"plan": plan, "segment": segment, "owner": owner, **starts}


def _register(name: str, summary: str, show: Printer, *, cohorts: bool) -> None:
    def answered(*, wanted: Answer, client: Client, as_json: AsJson = False) -> None:
        _tell(client.ask("GET", f"/v1/insights/{name}", parameters=wanted), show, as_json=as_json)

    def answered_by_cohort(*, wanted: Answer, by: ByOption = "month", client: Client, as_json: AsJson = False) -> None:
        answered(wanted=wanted | {"by": by}, client=client, as_json=as_json)

    verb = answered_by_cohort if cohorts else answered
    app.command(name, help=summary)(composed(verb, wanted=filters, client=engine))


def _tell(answer: Answer, show: Printer, *, as_json: bool) -> None:
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
@asking(engine)
def surprises(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Rows at most.")] = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Frequent events that no live plan mentions."""
    _tell(client.ask("GET", "/v1/insights/surprises", parameters={"limit": limit}), show_surprises, as_json=as_json)
