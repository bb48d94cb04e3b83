"""What live plans have, asked before something is said that counts by its name alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches

from services.cli.client import Client, segment
from services.cli.output import Refused

# As many as can be live.
_PLANS_MAX = 200


def live_plans(engine: Client) -> list[str]:
    """The ids of the plans that are published and not retired. Raises Refused, Unreachable."""
    return [row["plan"] for row in engine.rows("/v1/plans", limit=_PLANS_MAX)]


def live_milestones(engine: Client) -> set[str]:
    """The ids of the milestones of all live plans. Raises Refused, Unreachable."""
    plans = (engine.ask("GET", f"/v1/plans/{segment(plan)}") for plan in live_plans(engine))
    return {milestone for plan in plans for milestone in plan["content"]["milestones"]}


def require_live(engine: Client, plan: str) -> None:
    """Raises Refused for a plan that is not live, and says which are."""
    live = live_plans(engine)
    if plan not in live:
        instead = f"one of {', '.join(live)}" if live else "none: publish it first"
        raise Refused(f"No plan {plan} is live, and nothing was changed. Live is {instead}.")


def unknown_milestones(names: Iterable[str], known: Collection[str], *, whose: str = "") -> Iterator[str]:
    """What to say of each milestone that no live plan has, perhaps for a misspelt name; `whose` plans: ` of acme`."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" (is it {near[0]}?)" if near else ""
            yield f"No live plan{whose} has a milestone {name}{hint}; this counts only once one has."
