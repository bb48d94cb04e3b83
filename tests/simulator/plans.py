"""The plans of simulated worlds: texts of two plans, which take turns as versions, and the checked versions of them."""

from __future__ import annotations

from functools import cache

from services.activation_engine.plans.loader import CheckedPlan, load_plan
from tests.builders import SMALL_PLAN

# The one is always live; the other is retired now and then, and comes back.
MAIN_PLAN, SIDE_PLAN = "small", "side"
# A day of the plans, so short that everything that they wait for happens within a world.
PLAN_DAY_MS = 20_000

_MAIN = f"""{SMALL_PLAN}
day: {PLAN_DAY_MS}ms
escalate: {{at: 20d, unless: output, to: [owner, product]}}
risks:
  nobody: {{quiet: anyone, for: 9d}}
  champion_gone: {{quiet: champion, for: 6d}}
  alone: {{people: {{lt: 2}}, for: 12d}}
  concern: {{after: concern.raised, until: concern.resolved, for: 3d}}
  renewal_near: {{before: renewal_at, within: 30d, unless: output}}
opportunities:
  next_problem: {{after: output, until: concern.resolved, open: 12d}}
  fans: {{people: 2, quiet: [champion], for: 6d, open: 20d}}
  advocacy: {{after: data, healthy: 4d, until: advocacy.asked, open: 15d}}
"""
_SIDE = f"""
plan: {SIDE_PLAN}
day: {PLAN_DAY_MS}ms
events:
  data.imported: [Data Imported]
  report.made: [Report Made]
start: [first_event]
milestones:
  looked: {{due: 3d, when: page.viewed}}
  made: {{due: 9d, needs: [looked], when: {{event: report.made, people: 2}}}}
first_value: made
stalled: {{overdue: 6d, quiet: 12d}}
risks:
  unheard: {{quiet: anyone, for: 5d}}
"""
# Each later text changes what accounts have reached, when they are late, who is covered and what is watched.
_TEXTS = {
    MAIN_PLAN: (
        _MAIN,
        # So late a milestone leaves time to be stalled and recover.
        _MAIN.replace("count: 3", "count: 2")
        .replace("quiet: 14d", "quiet: 7d")
        .replace("for: 9d", "for: 5d")
        .replace("output: {due: week 2", "output: {due: 40d"),
        _MAIN.replace("habit: {when", "seen: {due: 3d, when: page.viewed}\n  habit: {when")
        .replace("output: {due: week 2", "output: {due: 9d")
        .replace("[Data Imported]", "[Data Imported, Data Loaded]")
        .replace("  alone: {people: {lt: 2}, for: 12d}\n", ""),
    ),
    SIDE_PLAN: (_SIDE, f"{_SIDE}applies_to: {{segment: smb}}\n"),
}


@cache
def text_of(plan: str, turn: int) -> CheckedPlan:
    """The text of a plan whose turn it is, compiled once."""
    return load_plan(_TEXTS[plan][turn % len(_TEXTS[plan])])
