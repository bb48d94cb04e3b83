"""`firstvalue plan show, list, diff`: published versions and files, as English, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from services.activation_engine.plans.english import in_english, sections
from services.activation_engine.plans.loader import CheckedPlan, load_plan, plan_from_content
from services.cli.client import Client, FindClient, segment
from services.cli.output import (
    ROWS_DEFAULT,
    AsJson,
    Misused,
    Refused,
    Rows,
    complain,
    print_fields,
    print_json,
    say,
    terminal_width,
)
from services.cli.plan_sources import loaded, read_text

_LINE_CHARACTERS = 100
_HASH_CHARACTERS = 12
_NUMBER_DIGITS = 3

What = Annotated[
    str, typer.Argument(metavar="FILE|PLAN", help="A plan file, - , or the id of a published plan.", show_default=False)
]


class _Version(NamedTuple):
    """A plan, what it is called, its text, and what is known of it once it is published."""

    checked: CheckedPlan
    label: str
    source: str
    about: dict[str, Any]


def show(
    what: What,
    *,
    version: Annotated[
        str | None, typer.Option("--version", metavar="N|HASH", help="Of a published plan. Default: the newest.")
    ] = None,
    find_client: FindClient,
    as_json: AsJson = False,
) -> None:
    """Print a plan as English sentences: a file here, a published plan by its newest version or another."""
    if _is_file(what):
        if version is not None:
            raise Misused("--version is of a published plan: name it by its id, not by a file.")
        found = _file(what, as_json=as_json)
    else:
        client = find_client()
        found = _published(client, newest(client, what), version)
    checked = found.checked
    english = in_english(checked, width=min(terminal_width(otherwise=_LINE_CHARACTERS), _LINE_CHARACTERS))
    if as_json:
        about = {"plan": checked.plan.id, "title": checked.title, "hash": checked.hash}
        print_json({**about, **found.about, "text": english})
        return
    if found.about.get("retired"):
        last = found.about["version"]
        complain(f"{what} is retired: no account runs under it any more. This was its last version, {last}.")
    say(english.rstrip("\n"))


def list_plans(
    plan: Annotated[
        str | None, typer.Argument(metavar="[PLAN]", help="Its newest 100 versions instead.", show_default=False)
    ] = None,
    *,
    limit: Rows = ROWS_DEFAULT,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """List published plans, each by its newest version, or the versions of one."""
    rows = list(client.rows("/v1/plans", limit=limit)) if plan is None else newest(client, plan)["versions"][:limit]
    if as_json:
        print_json(rows)
        return
    columns = ["plan", "version", "title", "policy", "live", "published_at"]
    if plan is not None:
        columns.insert(2, "hash")
        rows = [{**one, "hash": one["hash"][:_HASH_CHARACTERS] or None} for one in rows]
    print_fields(columns, rows, empty="No plan is published: start with `firstvalue plan new`.")


def diff(
    what: What,
    a: Annotated[
        str | None,
        typer.Argument(
            metavar="[A]", help="The version before, by number or hash. Default: the one before B.", show_default=False
        ),
    ] = None,
    b: Annotated[
        str | None,
        typer.Argument(metavar="[B]", help="The version after. Default: the newest, or the file.", show_default=False),
    ] = None,
    *,
    client: Client,
    as_json: AsJson = False,
) -> None:
    """Print the sentences by which two versions of a plan differ, or a file and the newest version of its plan."""
    if b is not None and _is_file(what):
        raise Misused("A file is compared with one version of its plan: leave B out.")
    if _is_file(what):
        after = _file(what, as_json=as_json)
        listed = newest(client, after.checked.plan.id)
    else:
        listed = newest(client, what)
        after = _published(client, listed, b)
        a = a or _before(listed, after.about["version"])
    before = _published(client, listed, a)
    differences = list(_differences(before, after))
    if as_json:
        ends = {name: {"hash": one.checked.hash, **one.about} for name, one in (("from", before), ("to", after))}
        told = [{"section": title, "removed": gone, "added": come} for title, gone, come in differences]
        print_json({"plan": after.checked.plan.id, **ends, "differences": told})
        return
    say(f"{before.label} and {after.label}" + ("" if differences else " say the same"))
    for title, gone, come in differences:
        say("\n".join(["", *filter(None, [title]), *(f"- {one}" for one in gone), *(f"+ {one}" for one in come)]))


def newest(client: Client, plan: str) -> Any:
    """The newest version of a published plan, with its `versions`. Raises Refused."""
    try:
        return client.ask("GET", f"/v1/plans/{segment(plan)}")
    except Refused as refused:
        if refused.code != "plan_unknown":
            raise
        instead = f"`firstvalue plan list` shows those that are. A file is named with its ending: {plan}.yaml"
        raise Refused(f"No plan {plan} is published: {instead}", problem=refused.problem) from None


def _is_file(what: str) -> bool:
    return what == "-" or what.endswith((".yaml", ".yml")) or "/" in what or Path(what).is_file()


def _file(file: str, *, as_json: bool) -> _Version:
    text = read_text(file)
    return _Version(loaded(lambda: load_plan(text, file=file), file, as_json=as_json), file, text, {})


def _published(client: Client, listed: dict[str, Any], version: str | None) -> _Version:
    """The newest version that is listed, or one by its number or the beginning of its hash, which digits are when they
    are more than a number would have. Raises Refused."""
    plan, versions, found = listed["plan"], listed["versions"], listed
    about = {"version": found["version"], "retired": versions[0]["policy"] == "retired"}
    if version is not None:
        digits = max(_NUMBER_DIGITS, len(str(versions[0]["version"])))
        is_number = version.isdecimal() and len(version) <= digits
        number = int(version) if is_number else _number(versions, version)
        about = {"version": number}
        if number != found["version"]:
            found = _version(client, plan, number)
    # By what was published, not by its text: that would be held to what is asked of plans today.
    checked = plan_from_content(found["content"])
    return _Version(checked, f"{plan} version {about['version']}", found["source"], about)


def _version(client: Client, plan: str, number: int) -> Any:
    try:
        return client.ask("GET", f"/v1/plans/{segment(plan)}/versions/{number}")
    except Refused as refused:
        if refused.code not in ("plan_unknown", "invalid_request"):
            raise
        instead = f"`firstvalue plan list {plan}` shows those that it has"
        raise Refused(f"{plan} has no version {number} to be read: {instead}.", problem=refused.problem) from None


def _number(versions: list[dict[str, Any]], hash_begins: str) -> int:
    """The newest version whose hash begins so. Raises Refused when there is none, or two with different hashes."""
    found = [one for one in versions if one["hash"].startswith(hash_begins.lower())]
    if len({one["hash"] for one in found}) != 1:
        known = "" if versions[-1]["version"] == 1 else f" of the newest {len(versions)}"
        how = "more than one hash" if found else "no hash"
        raise Refused(f"{hash_begins} is no version: {how}{known} begins so. `firstvalue plan list PLAN` shows hashes.")
    return int(found[0]["version"])


def _before(listed: dict[str, Any], version: int) -> str:
    """The number of the version before, the ends of the plan left out. Raises Refused."""
    older = (one for one in listed["versions"] if one["version"] < version and one["policy"] != "retired")
    before = next((one["version"] for one in older), version - 1)
    if before == 0:
        raise Refused(f"{listed['plan']} version {version} has none before it: there is nothing to compare it with.")
    return str(before)


def _differences(before: _Version, after: _Version) -> Iterator[tuple[str, list[str], list[str]]]:
    """(title, what is said no more, what is said now), and the lines of the files: sentences do not say everything."""
    if before.checked.hash == after.checked.hash:
        return
    old, new = sections(before.checked), sections(after.checked)
    for title in dict.fromkeys([*new, *old]):
        was, is_now = old.get(title, []), new.get(title, [])
        gone, come = [one for one in was if one not in is_now], [one for one in is_now if one not in was]
        if gone or come:
            yield title, gone, come
    lines = [*unified_diff(before.source.splitlines(), after.source.splitlines(), n=0, lineterm="")][2:]
    gone, come = ([one[1:] for one in lines if one.startswith(sign)] for sign in "-+")
    yield "In the file", gone, come
