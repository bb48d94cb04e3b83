"""What publishing a plan does to its accounts, in the same words before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.cli.output import complain, say

EFFECT_FIELDS = ("counts_from_publish", "newly_required", "fall_back_max", "milestones_removed", "events_dropped")


def tell_effect(answer: Mapping[str, Any]) -> None:
    """Print it from the answer to a check or to a publication; what may be a mistake is a warning."""
    if anew := answer.get("counts_from_publish"):
        untracked = "nothing was tracked for that. What is reached stays reached."
        say(f"What came before does not count for {', '.join(anew)}: {untracked}")
    if most := answer.get("fall_back_max"):
        required = ", ".join(answer["newly_required"])
        say(f"Newly required: {required}. Activated accounts without that, {most} at most, are on the way again.")
    if removed := answer.get("milestones_removed"):
        say(f"Gone since the version before: {', '.join(removed)}.")
    if dropped := answer.get("events_dropped"):
        names = ", ".join(f"`{one}`" for one in dropped)
        complain(f"warning: these events come, and the plan asks for them no more: {names}")
