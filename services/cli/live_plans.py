"""What live plans have, asked before something is said that counts by its name alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

from services.cli.client import Client, FindClient, segment
from services.cli.output import Misused, Refused, Unreachable

# As many as can be live.
_PLANS_MAX = 200
# What plans hold, by their ids.
Contents: TypeAlias = Mapping[str, dict[str, Any]]


def live_plans(engine: Client) -> list[str]:
    """The ids of the plans that are published and not retired. Raises Refused, Unreachable."""
    return [row["plan"] for row in engine.rows("/v1/plans", limit=_PLANS_MAX)]


def contents_of(engine: Client, plans: Iterable[str]) -> Contents:
    """What these plans hold. Raises Refused, Unreachable."""
    return {plan: engine.ask("GET", f"/v1/plans/{segment(plan)}")["content"] for plan in plans}


def unwaivable(plans: Contents) -> set[str]:
    """The milestones that are the first value of every one of these plans that has them."""
    first = {one["first_value"] for one in plans.values()}
    return first - {name for one in plans.values() for name in one["milestones"] if name != one["first_value"]}


def require_live(engine: Client, plan: str) -> None:
    """Raises Refused for a plan that is not live, and says which are."""
    live = live_plans(engine)
    if plan not in live:
        instead = f"one of {', '.join(live)}" if live else "none: publish it first"
        raise Refused(f"No plan {plan} is live, and nothing was changed. Live is {instead}.")


def unlive_plans(find_engine: FindClient, names: Collection[str]) -> Iterator[str]:
    """What to say of each plan named for an endpoint that is not live, perhaps misspelt; nothing where no engine is
    known to ask."""
    if not names:
        return
    try:
        engine = find_engine()
    except (Unreachable, Misused):
        return
    try:
        live = live_plans(engine)
    except (Unreachable, Refused) as error:
        yield f"whether these plans are live is not checked: {error}"
        return
    for name in names:
        if name not in live:
            yield f"No plan {name} is live{_nearest(name, live)}; the endpoint gets nothing of it until one is."


def unknown_milestones(names: Iterable[str], known: Collection[str], *, whose: str = "") -> Iterator[str]:
    """What to say of each milestone that no live plan has, perhaps for a misspelt name; `whose` plans: ` of acme`."""
    for name in names:
        if name not in known:
            yield f"No live plan{whose} has a milestone {name}{_nearest(name, known)}; this counts only once one has."


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (is it {near[0]}?)" if near else ""
