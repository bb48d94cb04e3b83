"""Checks of the whole language: each finding with its place, its code, and what to write instead."""

from __future__ import annotations

import pytest

from services.activation_engine.plans.loader import PlanErrors, load_plan

HEAD = """\
plan: x
milestones:
  data: {when: data.imported}
  value: {due: week 2, needs: [data], when: report.made}
first_value: value
"""


def findings(text: str) -> list[tuple[str, str, str]]:
    """(path, code, message and hint) of each finding."""
    with pytest.raises(PlanErrors) as refused:
        load_plan(text, file="my.yaml")
    assert all(one.line > 1 and one.column > 0 and one.message for one in refused.value.errors)
    return [(one.path, one.code, f"{one.message}; {one.hint}") for one in refused.value.errors]


RISK = "risks: {r: {%s}}"
CHANCE = "opportunities: {o: {%s}}"


@pytest.mark.parametrize(
    ("extra", "path", "code", "says"),
    [
        # What opens it.
        (RISK % "for: 3d", "risks.r", "missing_key", "add one of quiet, people"),
        (RISK % "unless: a.b", "risks.r", "missing_key", "add one of quiet"),
        (CHANCE % "until: a.b, open: 3d", "opportunities.o", "missing_key", "healthy"),
        (RISK % "quiet: anyone", "risks.r.quiet", "missing_key", "add `for: 14d`"),
        (RISK % "before: renewal_at", "risks.r.before", "missing_key", "add `within: 90d`"),
        (RISK % "missing: owner, within: 3d", "risks.r.within", "missing_key", "add `before: <trait>`"),
        (RISK % "missing: owner, until: a.b", "risks.r.until", "missing_key", "add `after:"),
        (RISK % "open: 3d, missing: owner", "risks.r.open", "unknown_key", "only opportunities have it"),
        (RISK % "healthy: 3d, missing: owner", "risks.r.healthy", "unknown_key", "only opportunities"),
        (RISK % "qiet: anyone", "risks.r.qiet", "unknown_key", "did you mean `quiet`?"),
        (CHANCE % "haelthy: 3d", "opportunities.o.haelthy", "unknown_key", "did you mean `healthy`?"),
        # Values.
        (RISK % "quiet: [], for: 3d", "risks.r.quiet", "wrong_value", "at least 1 item"),
        (RISK % "quiet: [a, a], for: 3d", "risks.r.quiet", "wrong_value", "listed twice"),
        (RISK % "quiet: [anyone, it], for: 3d", "risks.r.quiet", "wrong_value", "write `quiet: anyone`"),
        (RISK % "people: 17", "risks.r.people", "wrong_value", "less than or equal to 16"),
        (RISK % "people: {lt: 17}", "risks.r.people.lt", "wrong_value", "less than or equal to 16"),
        (RISK % "people: {lt: 1}", "risks.r.people.lt", "wrong_value", "greater than or equal to 2"),
        (RISK % "people: {le: 2}", "risks.r.people.le", "unknown_key", "known here: lt"),
        (RISK % "roles: some", "risks.r.roles", "wrong_type", "a whole number"),
        (RISK % "active_days: {down: 0%}", "risks.r.active_days.down", "wrong_value", "above 0%"),
        (RISK % "active_days: {down: 101%}", "risks.r.active_days.down", "wrong_value", "up to 100%"),
        (RISK % "active_days: {up: 10%}", "risks.r.active_days.up", "unknown_key", "known here: down"),
        (RISK % "after: {event: a.b, count: 2}", "risks.r.after.count", "unknown_key", "known here: event, where"),
        (RISK % "after: vlue", "risks.r.after", "unknown_milestone", "did you mean `value`?"),
        (RISK % "missing: owner, unless: {evnt: x}", "risks.r.unless", "wrong_condition", "did you mean `event`"),
        ("risks: {R: {missing: owner}}", "risks.R", "wrong_name", "the id of a risk"),
        ("risks: {value: {missing: owner}}", "risks.value", "duplicate_id", "a milestone too"),
        ("risks: {stalled: {missing: owner}}", "risks.stalled", "duplicate_id", "a kind of signal too"),
        # What can never fire.
        (RISK % "people: 2, quiet: anyone, for: 28d", "risks.r.people", "rule_never_fires", "shorter than 28d"),
        (RISK % "roles: 2, quiet: anyone, for: 30d", "risks.r.roles", "rule_never_fires", "no roles left"),
        (RISK % "after: a.b, until: a.b", "risks.r.until", "rule_never_fires", "write what ends it"),
        (RISK % "after: a.b, until: {event: a.b}", "risks.r.until", "rule_never_fires", "write what ends it"),
        (RISK % "after: value, unless: value", "risks.r.unless", "rule_never_fires", "write `until`"),
        (RISK % "after: a.b, unless: {any: [c.d, a.b]}", "risks.r.unless", "rule_never_fires", "true whenever"),
        (RISK % "active_days: {down: 60%}, unless: value", "risks.r.unless", "rule_never_fires", "true whenever"),
        (RISK % "after: a.b, unless: {event: 'a.*'}", "risks.r.unless", "rule_never_fires", "true whenever"),
        (RISK % "after: a.b, unless: {all: [a.b]}", "risks.r.unless", "rule_never_fires", "true whenever"),
        (
            RISK % "after: a.b, unless: {at_least: {n: 1, of: [a.b, data]}}",
            "risks.r.unless",
            "rule_never_fires",
            "true whenever",
        ),
        (RISK % "people: 3, unless: {people: 3}", "risks.r.unless", "rule_never_fires", "true whenever"),
        (RISK % "quiet: anyone, for: 9d, unless: {days: 1}", "risks.r.unless", "rule_never_fires", "true whenever"),
        (RISK % "active_days: {down: 9%}, unless: {days: 12}", "risks.r.unless", "rule_never_fires", "true whenever"),
        (RISK % "after: a.b, until: '*'", "risks.r.until", "rule_never_fires", "write what ends it"),
        (RISK % "after: {event: a.b, where: {x: 1}}, until: a.b", "risks.r.until", "rule_never_fires", "what ends it"),
        (
            RISK % "active_days: {down: 50%}, quiet: anyone, for: 46d",
            "risks.r.for",
            "rule_never_fires",
            "no usual from which to fall",
        ),
        # What no value passes.
        (
            RISK % "missing: crm, unless: {event: a.b, where: {rows: {gt: 10, lt: 5}}}",
            "risks.r.unless.where.rows",
            "never_holds",
            "no value passes",
        ),
        (
            RISK % "after: {event: a.b, where: {x: {eq: 1, ne: 1}}}",
            "risks.r.after.where.x",
            "never_holds",
            "no value passes",
        ),
        ("applies_to: {tier: {in: [a, b], prefix: c}}", "applies_to.tier", "never_holds", "no value passes"),
        ("applies_to: {tier: {exists: false, eq: a}}", "applies_to.tier", "never_holds", "no value passes"),
        ("applies_to: {tier: {exists: false, contains: a}}", "applies_to.tier", "never_holds", "no value passes"),
        ("applies_to: {tier: {gt: 5, lt: 5}}", "applies_to.tier", "never_holds", "no value passes"),
        ("applies_to: {tier: {gte: a, lte: 5}}", "applies_to.tier", "never_holds", "no value passes"),
        (RISK % "active_days: {down: 60%}, for: 28d", "risks.r.for", "rule_never_fires", "shorter than 28d"),
        (RISK % "active_days: {down: 58%}, for: 28d", "risks.r.for", "rule_never_fires", "shorter than 28d"),
        (RISK % "active_days: {down: 50%}, for: 56d", "risks.r.for", "rule_never_fires", "shorter than 56d"),
        (RISK % "before: renewal_at, within: 30d, for: 30d", "risks.r.for", "rule_never_fires", "shorter than 30d"),
        (RISK % "missing: a, before: a, within: 3d", "risks.r.missing", "rule_never_fires", "to be missing"),
        ("start: signed_at\n" + RISK % "missing: signed_at", "risks.r.missing", "rule_never_fires", "`first_event`"),
        (CHANCE % "quiet: anyone, for: 14d", "opportunities.o.quiet", "rule_never_fires", "make it a risk"),
        (CHANCE % "after: value", "opportunities.o", "never_closes", "add `open: 30d`"),
        # Escalations.
        ("escalate: {to: owner}", "escalate.at", "missing_key", "write `escalate: {at: 45d}`"),
        ("escalate: {at: 30d, to: []}", "escalate.to", "wrong_value", "at least 1 item"),
        ("escalate: {at: soon}", "escalate.at", "wrong_value", "such as 30d"),
        ("escalate: {at: {smb: 30d}}", "escalate.at", "wrong_value", "write one duration"),
        ("escalate: {at: 30d, unless: {adoption: 40%}}", "escalate.unless.adoption", "never_holds", "core_features"),
        ("escalate: {at: 3d, unless: {adoption: 0.4}}", "escalate.unless.adoption", "wrong_value", "such as 40%"),
        ("escalate: {at: 3d, unless: nope}", "escalate.unless", "unknown_milestone", "there is no milestone"),
        # Core features and activity.
        ("core_features: {days: 2, of: [data]}", "core_features.of[0]", "not_an_event", "is a milestone"),
        ("core_features: {days: 2, of: [a.b, a.b]}", "core_features.of[1]", "wrong_value", "listed twice"),
        ("core_features: {days: 65, of: [a.b]}", "core_features.days", "wrong_value", "less than or equal to 64"),
        ("core_features: {days: 2, of: []}", "core_features.of", "wrong_value", "at least 1 item"),
        ("core_features: {of: [a.b]}", "core_features.days", "missing_key", "core_features: {days: 2"),
        ("activity: {exclude: ['*']}", "activity.exclude[0]", "rule_never_fires", "nothing would ever be activity"),
        ("activity: {exclude: ['*.a']}", "activity.exclude[0]", "wrong_name", "in the wrong place"),
        ("activity: {include: a.b}", "activity.exclude", "missing_key", "exclude: [billing.*]"),
    ],
)
def test_refused(extra: str, path: str, code: str, says: str) -> None:
    """One finding each, beside a good plan."""
    found = findings(HEAD + extra + "\n")
    assert [one[:2] for one in found if one[0] == path] == [(path, code)]
    assert any(says in one[2] for one in found)


@pytest.mark.parametrize(
    "extra",
    [
        RISK % "after: a.b, unless: {event: a.b, count: 2}",
        RISK % "after: a.b, unless: {event: a.b, where: {x: 1}}",
        RISK % "after: a.b, unless: {all: [a.b, data]}",
        RISK % "after: {event: 'a.*'}, unless: a.b",
        RISK % "after: a.b, until: {event: a.b, where: {x: 1}}",
        RISK % "after: value, until: report.made",
        RISK % "people: {lt: 3}, unless: {people: 2}",
        RISK % "quiet: champion, for: 9d, unless: {days: 2}",
        RISK % "active_days: {down: 50%}, quiet: anyone, for: 45d",
        "applies_to: {tier: {gte: 5, lte: 5}}",
        "applies_to: {tier: {in: [a, null], exists: false}}",
        "applies_to: {tier: {exists: false, ne: a}}",
        "applies_to: {tier: {contains: a, prefix: b}}",
    ],
)
def test_what_may_come_is_accepted(extra: str) -> None:
    """Conditions that are near to those that can never be."""
    load_plan(HEAD + extra + "\n", file="my.yaml")


@pytest.mark.parametrize(
    "extra",
    [
        RISK % "active_days: {down: 50%}, for: 55d",
        # 43 % of 28 days are 12, which is a baseline still; 42 % are less.
        RISK % "active_days: {down: 57%}, for: 28d",
        RISK % "before: renewal_at, within: 30d, for: 29d",
        RISK % "people: {lt: 2}, quiet: anyone, for: 27d",
        RISK % "after: a.b, until: {event: a.b, where: {x: 1}}",
        RISK % "after: a.b, unless: {event: a.b, count: 2}",
        RISK % "quiet: [champion, it], for: 60d",
        CHANCE % "quiet: anyone, for: 13d",
        CHANCE % "after: value, until: a.b",
        CHANCE % "healthy: 3d, open: 3d",
        CHANCE % "people: {lt: 16}, roles: 16, unless: a.b",
        "escalate: {at: 30d}",
        "start: [signed_at, first_event]\n" + RISK % "missing: signed_at",
    ],
)
def test_allowed(extra: str) -> None:
    """Just inside each limit."""
    assert load_plan(HEAD + extra + "\n").plan.id == "x"


@pytest.mark.parametrize(
    ("milestones", "path", "code", "says"),
    [
        ("m: {when: {adoption: 40%}}", "m.when.adoption", "unreachable_milestone", "add `core_features:"),
        ("m: {when: {adoption: 140%}}", "m.when.adoption", "wrong_value", "up to 100%"),
        ("m: {when: {event: a.b, count: 2, people: 3}}", "m.when", "wrong_value", "leave one of `count`"),
        ("m: {when: {event: a.b, days: 65}}", "m.when.days", "wrong_value", "less than or equal to 64"),
        ("m: {when: {people: 0}}", "m.when.people", "wrong_value", "greater than or equal to 1"),
        ("m: {when: {days: 3, of: a.b}}", "m.when.of", "unknown_key", "known here: days"),
        ("m: {when: {event: a.b, within: 3d}}", "m.when.within", "unknown_key", "`within`"),
        ("m: {when: {event: off.x, people: 3}}", "m.when.event", "unreachable_milestone", "nobody is ever counted"),
        ("m: {when: {any: [a.b, {adoption: 1%}]}}", "m.when.any[1].adoption", "unreachable_milestone", "of which"),
    ],
)
def test_refused_conditions(milestones: str, path: str, code: str, says: str) -> None:
    """Measures of people, days and adoption."""
    text = "plan: x\nactivity: {exclude: ['off.*']}\nfirst_value: value\nmilestones:\n  value: {when: a.b}\n"
    (found,) = findings(f"{text}  {milestones}\n")
    assert found[:2] == (f"milestones.{path}", code)
    assert says in found[2]


def test_milestones_behind_an_unreachable_one() -> None:
    """Those that cannot do without it are named as well, those that can are not."""
    text = """\
plan: x
milestones:
  never: {when: {at_least: {n: 3, of: [a.b, c.d]}}}
  behind: {needs: [never], when: a.b}
  further: {when: {all: [a.b, behind]}}
  beside: {when: {any: [a.b, never]}}
first_value: beside
"""
    found = findings(text)
    assert [one[0] for one in found] == [
        "milestones.never.when.at_least.n",
        "milestones.behind",
        "milestones.further",
    ]
    assert {one[1] for one in found} == {"unreachable_milestone"}
    assert "needs `never`" in found[1][2]
    assert "needs `behind`" in found[2][2]


def test_escalation_per_segment() -> None:
    """A value for each segment, or `else`."""
    text = HEAD + "segments: {a: {}, b: {}, else: a}\n"
    (found,) = findings(text + "escalate: {at: {a: 30d}}\n")
    assert found[:2] == ("escalate.at", "segment_without_value")
    assert "`b`" in found[2]
    (found,) = findings(text + "escalate: {at: {a: 30d, c: 3d, else: 40d}}\n")
    assert found[:2] == ("escalate.at.c", "unknown_segment")


def test_limits_of_lists() -> None:
    """64 core features, 32 risks."""
    features = ", ".join(f"a.f{number}" for number in range(65))
    (found,) = findings(HEAD + f"core_features: {{days: 1, of: [{features}]}}\n")
    assert found[:2] == ("core_features.of", "wrong_value")
    risks = ", ".join(f"r{number}: {{missing: owner}}" for number in range(33))
    (found,) = findings(HEAD + f"risks: {{{risks}}}\n")
    assert found[:2] == ("risks", "wrong_value")


def test_ids_are_shared() -> None:
    """A risk and an opportunity of the same name could not be told apart."""
    extra = "risks: {same: {missing: owner}}\nopportunities: {same: {after: value, open: 3d}}\n"
    (found,) = findings(HEAD + extra)
    assert found[:2] == ("opportunities.same", "duplicate_id")
