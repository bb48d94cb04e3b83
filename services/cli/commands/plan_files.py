"""`firstvalue plan new`, `check`, `test`: plans as files, before anything is published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from services.activation_engine.plan_templates import DEFAULT_TEMPLATE, TEMPLATES, example_text, template_text
from services.activation_engine.plans.advice import SeenName, advise, seen_names
from services.activation_engine.plans.examples import load_example, with_expected
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.plans.rehearsal import Outcome, rehearse
from services.cli.client import Client, FindClient, segment
from services.cli.output import (
    REFUSED,
    AsJson,
    Misused,
    Refused,
    Unreachable,
    complain,
    counted,
    print_answer,
    print_json,
    print_table,
    say,
    say_as_it_is,
)
from services.cli.plan_effects import EFFECT_FIELDS, tell_effect
from services.cli.plan_sources import PLAN_HEADERS, PlanPath, loaded, read_text, write_text
from services.cli.plan_warnings import warning_texts

# As many as the engine keeps.
_NAMES_MAX = 10_000

Template = Annotated[str, typer.Option("--template", help="Which built-in plan to start from; see --list.")]
Catalogue = Annotated[
    str | None, typer.Option("--catalog", metavar="FILE", help="Event names seen, as GET /v1/catalog answers them.")
]


def new(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it; - prints it.")] = "plan.yaml",
    *,
    template: Template = DEFAULT_TEMPLATE,
    list_them: Annotated[bool, typer.Option("--list", help="List the built-in plans and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a plan to start from, with comments, and beside it an example stream for `plan test`."""
    if list_them:
        _list_templates(as_json=as_json)
        return
    if template not in TEMPLATES:
        raise Misused(f"There is no template {template}: use one of {', '.join(TEMPLATES)}.")
    if file in TEMPLATES:
        raise Misused(f"{file} is a template, and no file: `firstvalue plan new --template {file}` starts from it.")
    if file == "-":
        say_as_it_is(template_text(template).rstrip("\n"))
        return
    example = f"{file.removesuffix('.yml').removesuffix('.yaml')}.example.yaml"
    write_text(file, template_text(template), anew=True)
    write_text(example, example_text(template), anew=True)
    print_answer(
        {"file": file, "example": example, "template": template},
        f"{file} and {example} are written. Edit `events`, then: firstvalue plan test {file} {example}\n"
        f"Give it an id of its own in `plan`: published as {template} it is the newest version of that plan.",
        as_json=as_json,
    )


def _list_templates(*, as_json: bool) -> None:
    if as_json:
        print_json([{"template": name, "for": what} for name, what in TEMPLATES.items()])
    else:
        print_table(("template", "for"), TEMPLATES.items(), empty="There are no templates.")


def check(
    file: PlanPath,
    *,
    catalog: Catalogue = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the engine for the event names seen.")] = False,
    find_client: FindClient,
    as_json: AsJson = False,
) -> None:
    """Check a plan file; each error says its line and what to write instead.

    Where an engine can be asked, event names that nobody sent yet are warnings, and it says what publishing would do to
    accounts. A plan with warnings alone is valid.
    """
    text = read_text(file)
    checked = loaded(lambda: load_plan(text, file=file), file, as_json=as_json)
    seen: list[SeenName] | None = None
    effect: dict[str, Any] = {}
    if catalog is not None:
        seen = _listed(catalog)
    elif not offline:
        try:
            client = find_client()
            seen, effect = _seen(client), _effect(client, checked.plan.id, text)
        except (Unreachable, Misused) as error:
            complain(f"warning: the event names are not checked: {error} --offline checks without them.")
    warnings = advise(text, file=file, seen=seen)
    if as_json:
        about = {"plan": checked.plan.id, "title": checked.title, "hash": checked.hash, "valid": True}
        told = {"warnings": [asdict(one) for one in warnings], "names_checked": seen is not None}
        print_json({**about, **effect, **told})
        return
    for warning in warning_texts(warnings, file):
        complain(f"warning: {warning}")
    say(f"{checked.plan.id} is valid: {checked.title}")
    tell_effect(effect)


def _listed(catalog: str) -> list[SeenName]:
    """The names in a file. Raises Misused."""
    try:
        return seen_names(json.loads(read_text(catalog))["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise Misused(f"{catalog} is not a list of event names: {error}") from error


def _seen(client: Client) -> list[SeenName] | None:
    """The names that the engine knows; None when it does not say. Raises Unreachable."""
    try:
        return seen_names(client.rows("/v1/catalog", limit=_NAMES_MAX))
    except (Refused, ValueError) as error:
        complain(f"warning: the event names are not checked: {error}")
        return None


def _effect(client: Client, plan: str, text: str) -> dict[str, Any]:
    """What publishing would do to accounts; nothing when the engine does not say, such as to a key that only reads.
    Raises Unreachable."""
    try:
        answer = client.ask("POST", f"/v1/plans/{segment(plan)}/check", content=text.encode(), headers=PLAN_HEADERS)
    except Refused as error:
        complain(f"warning: what publishing it would do to accounts is not known: {error}")
        return {}
    return {name: answer[name] for name in EFFECT_FIELDS if name in answer}


def try_out(
    file: PlanPath,
    example: Annotated[str, typer.Argument(metavar="EXAMPLE", help="An example stream: records and `expected`.")],
    *,
    write: Annotated[bool, typer.Option("--write", help="Fill `expected` in with what was announced.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay an example stream under a plan on a virtual clock, and compare what is announced with `expected`."""
    plan = loaded(lambda: load_plan(read_text(file), file=file), file, as_json=as_json).plan
    text = read_text(example)
    stream = loaded(lambda: load_example(text, file=example), example, as_json=as_json)
    outcome = loaded(lambda: rehearse(plan, stream), example, as_json=as_json)
    if write:
        write_text(example, with_expected(text, outcome.announced))
    if as_json:
        print_json({**asdict(outcome), "as_expected": outcome.as_expected, "written": write})
    else:
        _tell(outcome, example, written=write)
    if not outcome.as_expected and not write:
        raise typer.Exit(REFUSED)


def _tell(outcome: Outcome, example: str, *, written: bool) -> None:
    number = counted(len(outcome.announced), "signal")
    if written:
        say(f"{example} now expects {number}. Read them: they are what the plan does, not what it should do.")
    elif outcome.as_expected:
        say(f"{number}, all as expected")
    else:
        for word, lines in (("missing", outcome.missing), ("unexpected", outcome.unexpected)):
            for line in lines:
                say(f"{word:<10}  {_line_text(line)}")


def _line_text(line: Mapping[str, Any]) -> str:
    rest = [f"{name} {value}" for name, value in line.items() if name not in ("day", "account", "type")]
    return f"day {line['day']:g}  {line['account']}  {line['type']}{'  ' + ', '.join(rest) if rest else ''}"
