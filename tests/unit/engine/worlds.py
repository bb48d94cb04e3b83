"""Random worlds: two restless plans, and a log of records, commands and ticks about one account."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from hypothesis import strategies as st

from services.activation_engine.domain.event import Event
from services.activation_engine.domain.instants import rfc3339
from tests.builders import command, day, event, plan, plan_set, traits
from tests.fakes.oracle import Record, Tick

# A plan day of ten minutes: months of a plan pass within hours, by ticks that leave no hole.
PLAN_DAY_MS = 600_000
RESTLESS = """
plan: restless
day: 10m
start: [contract_start, first_event]
grace: 1d
milestones:
  m1: {due: 6d, when: a.b}
  m2: {due: 12d, when: {event: c.d, count: 2}}
  m3: {when: {people: 3}, required: false}
  m4: {needs: [m1], when: e.f, required: false}
first_value: m1
stalled: {overdue: 4d, quiet: 9d}
core_features: {days: 1, of: [a.b, c.d, e.f]}
escalate: {at: 10d, unless: {adoption: 100%}, to: owner}
risks:
  nobody: {quiet: anyone, for: 5d}
  no_champion: {quiet: champion, for: 7d, unless: m4}
  alone: {people: {lt: 2}, for: 4d}
  fall: {active_days: {down: 40%}}
  concern: {after: u.v, until: v.w, for: 3d}
  renewal: {before: renewal_at, within: 20d, unless: m4}
  no_owner: {missing: owner_id, for: 2d}
  unheard: {after: m1, until: x.y, for: 5d}
opportunities:
  talk: {after: m1, until: x.y, open: 6d}
  fans: {people: 2, quiet: executive, for: 8d, open: 9d}
  advocate: {after: m4, healthy: 5d, roles: 2, until: v.w, open: 12d}
  spread: {roles: 2, for: 2d, open: 5d}
"""
PLANS = plan_set([plan(RESTLESS), plan(RESTLESS.replace("restless", "picky") + "activity: {exclude: [billing.*]}\n")])

_NAMES = st.sampled_from(["a.b", "c.d", "e.f", "u.v", "v.w", "x.y", "billing.paid", "billing.paid"])
_PEOPLE = st.sampled_from(
    [("ann", "champion"), ("bob", None), ("eve", "executive"), ("ann", None), ("dan", "it"), (None, None)]
)
# How long a record took to arrive, and how far ahead a date lies, in plan days.
_LATE = st.sampled_from([0, 0, 0, 0, 0.5, 2.5, 10, 28, 35, 100])
_AHEAD = st.sampled_from([1, 3, 20, 40, 90])
_USES = st.tuples(st.just("use"), _NAMES, _LATE, _PEOPLE)
_TICKS = st.tuples(st.just("ticks"), st.sampled_from([1, 2, 6, 20, 60]), st.sampled_from([290_000, 240_000]), st.none())
_FACTS = st.one_of(
    st.tuples(st.just("identify"), st.just(""), _LATE, _PEOPLE),
    st.tuples(st.just("note"), _NAMES, _LATE, st.none()),
    st.tuples(st.just("set"), st.sampled_from(["renewal_at", "owner_id"]), _LATE, _AHEAD),
    st.tuples(st.just("set"), st.just("contract_start"), _LATE, st.sampled_from([1, 3, 20])),
    st.tuples(
        st.just("milestone"), st.sampled_from(["mark", "waive"]), _LATE, st.sampled_from(["m1", "m2", "m3", "m4"])
    ),
)
_ORDERS = st.one_of(
    # A start that moves ahead ends a trouble, and moved back again begins it anew.
    st.tuples(st.just("set"), st.just("contract_start"), _LATE, st.sampled_from([40, 90])),
    st.tuples(st.just("unset"), st.sampled_from(["renewal_at", "owner_id", "reached.m1"]), _LATE, st.none()),
    st.tuples(st.just("turn"), st.sampled_from(["pause", "resume", "close", "reopen"]), _LATE, _AHEAD),
    st.tuples(st.just("snooze"), st.sampled_from(["nobody", "stalled"]), _LATE, _AHEAD),
    st.tuples(st.just("gap"), st.integers(1, 30), st.just(0), st.none()),
)
_Steps: TypeAlias = list[tuple[Any, ...]]
# What chance alone rarely brings about: a start that comes in a pause, and an account that is given up and comes back.
_PAUSED_START: _Steps = [
    ("set", "contract_start", 0, 33),
    ("turn", "pause", 0, 20),
    ("ticks", 20, 290_000, None),
]
_REOPENED: _Steps = [
    ("turn", "close", 0, 1),
    ("ticks", 40, 290_000, None),
    ("turn", "reopen", 0, 1),
    ("ticks", 6, 290_000, None),
]


def _logs(*steps: st.SearchStrategy[tuple[Any, ...]]) -> st.SearchStrategy[_Steps]:
    return st.lists(st.one_of(*steps), min_size=15, max_size=45)


def _laid_out(steps: _Steps) -> list[Record]:
    """Records a second apart, ticks in between."""
    now, made = day(0), list[Record]([Tick(day(0), day(0), day(0))])
    for number, (kind, what, extra, more) in enumerate(steps):
        if kind in ("ticks", "gap"):
            count, length = (what, extra) if kind == "ticks" else (1, what * PLAN_DAY_MS)
            for _ in range(count):
                now += length
                made.append(Tick(now, now, now))
            continue
        now += 1_000
        at = now - round(extra * PLAN_DAY_MS)
        record = _record(kind, what, at, now, more, message=f"m{number}")
        made.append(msgspec.structs.replace(record, received_at_ms=now, appended_at_ms=now))
    return made


def _record(kind: str, what: str, at: int, now: int, more: Any, *, message: str) -> Event:
    if kind in ("use", "identify"):
        user, role = more
        return event(what, at, message=message, user=user, role=role, kind="track" if kind == "use" else kind)
    if kind in ("set", "unset"):
        value = None if kind == "unset" else rfc3339(now + (more - 30) * PLAN_DAY_MS)
        fields: dict[str, Any] = {what.replace(".", "__"): value}
        return traits(at, message=message, **fields)
    if kind == "note":
        return command(kind, at, message=message, event=what)
    if kind == "milestone":
        return command(what, at, message=message, milestone=more)
    until = rfc3339(now + more * PLAN_DAY_MS)
    if kind == "snooze":
        return command(kind, at, message=message, kind=what, until=until)
    # Half of the pauses wait for somebody to end them.
    return command(what, at, message=message, reason="r", **({"until": until} if now % 2_000 else {}))


LOGS = st.builds(
    lambda before, steps, after: _laid_out(before + steps + after),
    st.sampled_from([[], _PAUSED_START]),
    _logs(_USES, _USES, _TICKS, _TICKS, _FACTS, _ORDERS),
    st.sampled_from([[], _REOPENED]),
)
# Nothing that is taken back: what two orders of the same records must agree on.
GROWING_LOGS = _logs(_USES, _USES, _TICKS, _FACTS).map(_laid_out)
