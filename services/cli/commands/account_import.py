"""`firstvalue account import`: customers and what they had reached, from a spreadsheet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.client import Client, FindClient, segment
from services.cli.files import read_file
from services.cli.imports.accounts import AccountImport, RowError
from services.cli.imports.columns import REACHED, WAIVED, Column, Kind, columns_of
from services.cli.imports.table import Row, Table, text_of
from services.cli.live_plans import contents_of, live_plans, unknown_milestones, unwaivable
from services.cli.output import (
    REFUSED,
    AsJson,
    Misused,
    Refused,
    Unreachable,
    complain,
    counted,
    print_json,
    print_table,
    say,
)
from services.cli.progress import counting
from services.cli.sending import Item, Outcome, send_all

_ERRORS_SHOWN = 50
_ERRORS_MAX = 1_000
# A hundred thousand accounts take the engine seconds; this is for a backlog before them.
_APPLY_SECONDS_MAX = 300.0


def import_accounts(
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="A CSV file with a header; - is standard input.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Say what is wrong with it; send nothing.")] = False,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=TRAIT", help="Another name for a column; COLUMN= leaves it out."),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TRAIT=TYPE", help="text, number, boolean or date, instead of a guess."),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Send the good rows although others are wrong.")] = False,
    as_of: Annotated[
        str | None, typer.Option(help="The time that the file speaks of. Default: when it was written last.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as cp1252. Default: UTF-8.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="One character. Default: what the header has most of.")] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until the engine has applied it.")] = False,
    find_ingest: FindClient,
    find_engine: FindClient,
    as_json: AsJson = False,
) -> None:
    """Import accounts from a CSV file: a row each, with the column account_id and a column for each trait.

    contract_start, renewal_at and reached.MILESTONE are dates, waived.MILESTONE is true or false. Empty cells say
    nothing. When anything is wrong, nothing is sent. The same file a second time changes nothing, not even what was set
    by hand since.
    """
    if delimiter is not None and len(delimiter) != 1:
        raise Misused("--delimiter is one character, such as ; or |.")
    table = Table(text_of(read_file(file), file, encoding=encoding), file, delimiter=delimiter)
    rows = (row.cells for row in table.rows() if isinstance(row, Row))
    columns = columns_of(table.header, rows, mapped=dict(_pairs("--map", mapping)), kinds=_kinds(types))
    kept, warnings = _asked(columns, find_engine)
    importing = AccountImport(table, columns, as_of=_time_of(file, as_of), now=datetime.now(UTC), unwaivable=kept)
    good, bad, errors = _judged(importing)
    if not as_json:
        _print_findings(columns, errors, bad=bad)
        for warning in warnings:
            complain(f"warning: {warning}")
    stop = check or (bad and not skip_bad)
    idle = stop or not good
    outcome = Outcome() if idle else _sent(importing, good, find_ingest(), None if no_wait else find_engine())
    failed = bool(bad or outcome.rejected)
    counts = {"rows": good + bad, "wrong": bad, "sent": outcome.accepted, "rejected": outcome.rejected}
    if as_json:
        told = [error._asdict() for error in errors] + [error._asdict() for error in outcome.errors]
        print_json({**counts, "columns": [one._asdict() for one in columns], "errors": told, "warnings": warnings})
    else:
        for error in outcome.errors[:_ERRORS_SHOWN]:
            complain(f"{error.place}: {error.message} ({error.code})")
        say(_summary(counts, stopped=bool(stop), check=check))
    if failed:
        raise typer.Exit(REFUSED)


def _asked(columns: Sequence[Column], find_engine: FindClient) -> tuple[set[str], list[str]]:
    """(the milestones that cannot be waived, what to say of those that no live plan has), as far as an engine is known
    to ask."""
    prefixes = (REACHED, WAIVED)
    named = [one.trait.partition(".")[2] for one in columns if one.trait.startswith(prefixes)]
    if not named:
        return set(), []
    try:
        engine = find_engine()
    except (Unreachable, Misused):
        return set(), []
    try:
        plans = contents_of(engine, live_plans(engine))
    except (Unreachable, Refused) as error:
        return set(), [f"the milestones are not checked: {error}"]
    milestones = {milestone for one in plans.values() for milestone in one["milestones"]}
    return unwaivable(plans), list(unknown_milestones(named, milestones))


def _judged(importing: AccountImport) -> tuple[int, int, list[RowError]]:
    """(good rows, bad rows, the first errors)."""
    good = 0
    wrong: set[int] = set()
    errors: list[RowError] = []
    for one in importing.checked():
        if isinstance(one, Item):
            good += 1
        else:
            wrong.add(one.line)
            errors += [one] if len(errors) < _ERRORS_MAX else []
    return good, len(wrong), errors


def _sent(importing: AccountImport, good: int, ingest: Client, engine: Client | None) -> Outcome:
    """Send what is good, and wait until an engine that is given has applied it."""
    last = ""

    def commands() -> Iterator[Item]:
        nonlocal last
        for one in importing.checked():
            if isinstance(one, Item):
                last = one.value["account_id"]
                yield one

    try:
        with counting("sending", total=good) as told:
            outcome = send_all(ingest, "/v1/commands", commands(), wrap=list, told=told)
        if engine is not None and outcome.position is not None:
            _wait(engine, last, outcome.position)
    except KeyboardInterrupt:
        complain("What was sent stays and is applied; the same file again sets nothing twice.")
        raise
    return outcome


def _wait(engine: Client, account_id: str, position: str) -> None:
    """Return once everything before `position` is applied."""
    deadline = time.monotonic() + _APPLY_SECONDS_MAX
    while True:
        try:
            engine.ask("GET", f"/v1/accounts/{segment(account_id)}", parameters={"after": position})
        except Refused as refused:
            if refused.code == "account_unknown":
                return
            if refused.code != "not_yet_applied" or time.monotonic() > deadline:
                raise
        else:
            return


def _print_findings(columns: Sequence[Column], errors: Sequence[RowError], *, bad: int) -> None:
    for error in errors[:_ERRORS_SHOWN]:
        place = f"line {error.line}" + (f", column {error.column}" if error.column else "")
        complain(f"{place}: {error.message}")
    if len(errors) > _ERRORS_SHOWN:
        complain(f"and more, {counted(bad, 'row')} in all; --json lists up to {_ERRORS_MAX} errors")
    print_table(("column", "sets", "type"), ((one.title, one.trait, one.kind.value) for one in columns), empty="")


def _summary(counts: dict[str, Any], *, stopped: bool, check: bool) -> str:
    rows, wrong = counts["rows"], counts["wrong"]
    if not rows:
        return "there is no row below the header; nothing was sent"
    if stopped:
        found = f"{counted(rows, 'row')}, {wrong or 'nothing'} wrong"
        return f"{found}; nothing was sent" + ("" if check else ": correct them, or send the others with --skip-bad")
    refused = f", {counts['rejected']} rejected" if counts["rejected"] else ""
    left_out = f", {counted(wrong, 'row')} left out" if wrong else ""
    return f"{counted(counts['sent'], 'account')} set{refused}{left_out}"


def _pairs(option: str, texts: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    for text in texts or ():
        name, sign, value = text.rpartition("=") if option == "--map" else text.partition("=")
        if not (name and sign):
            raise Misused(f"{option} {text}: write NAME=VALUE.")
        yield name.strip(), value.strip()


def _kinds(types: Sequence[str] | None) -> dict[str, Kind]:
    kinds = {}
    for trait, kind in _pairs("--type", types):
        if kind not in list(Kind):
            raise Misused(f"--type {trait}={kind}: a type is one of {', '.join(Kind)}.")
        kinds[trait] = Kind(kind)
    return kinds


def _time_of(file: str, as_of: str | None) -> datetime:
    """When the file was written, or what is said instead; never ahead of now."""
    now = datetime.now(UTC)
    if as_of is None:
        return now if file == "-" else min(now, datetime.fromtimestamp(Path(file).stat().st_mtime, UTC))
    try:
        at = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise Misused(f"--as-of {as_of}: write a time like 2026-11-01 or 2026-11-01T09:00:00Z.") from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    if at > now:
        complain("--as-of is ahead of now; taken as now")
    return min(at, now)
