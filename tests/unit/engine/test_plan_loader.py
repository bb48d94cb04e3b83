"""Plan files: what is refused, where and with which advice; what is read, and under which hash."""

from __future__ import annotations

import pytest

from services.activation_engine.domain.plan import Plan
from services.activation_engine.domain.plan_set import PlanSet
from services.activation_engine.plan_templates import TEMPLATES, template_text
from services.activation_engine.plans.loader import PlanErrors, load_plan, plan_from_content
from tests.builders import DAY_MS, HOUR_MS, SMALL_PLAN, plan, plan_set

MINIMAL = """\
plan: minimal
milestones:
  value: {when: a.b}
first_value: value
"""


def refused(text: str) -> list[tuple[int, int, str, str, str]]:
    """(line, column, path, code, message and hint) of each finding."""
    with pytest.raises(PlanErrors) as caught:
        load_plan(text, file="my.yaml")
    assert all(one.file == "my.yaml" for one in caught.value.errors)
    return [(one.line, one.column, one.path, one.code, f"{one.message}; {one.hint}") for one in caught.value.errors]


@pytest.mark.parametrize(
    ("extra", "line", "column", "path", "code", "says"),
    [
        ("titel: x", 5, 1, "titel", "unknown_key", "did you mean `title`?"),
        ("core_features: {days: 2}", 5, 16, "core_features.of", "missing_key", "write a list"),
        ("grace: soon", 5, 8, "grace", "wrong_value", "such as 30d"),
        ("day: 0h", 5, 6, "day", "wrong_value", "longer than zero"),
        ("day: 8d", 5, 6, "day", "wrong_value", "longer than 7d; write 7d or less"),
        ("grace: 4000d", 5, 8, "grace", "wrong_value", "longer than 3650d"),
        ("plan: again", 5, 1, "plan", "duplicate_key", "written twice"),
        ("stalled: {quite: 3d}", 5, 11, "stalled.quite", "unknown_key", "did you mean `quiet`?"),
        ("stalled: 3d", 5, 10, "stalled", "wrong_type", "a mapping"),
        ("stalled: {overdue: 3d}", 5, 20, "stalled.overdue", "rule_never_fires", "give one a `due`"),
        ("events: {plain: [X]}", 5, 10, "events.plain", "wrong_name", "have a dot"),
        ("start: [a, a]", 5, 12, "start[1]", "wrong_value", "listed twice"),
        ("at_risk_after: {smb: 3d}", 5, 16, "at_risk_after", "wrong_value", "write one duration"),
        ("segments: {smb: {}}", 5, 1, "segments", "segment_without_value", "add `else: smb`"),
        ("segments: {smb: {}, else: x}", 5, 27, "segments.else", "unknown_segment", "write one of: smb"),
        ("segments: {smb: big, else: smb}", 5, 17, "segments.smb", "segment_without_value", "pace: 1"),
        ("segments: {smb: {pace: 0}, else: smb}", 5, 24, "segments.smb.pace", "wrong_value", "above 0"),
        ("applies_to: {product: {is: x}}", 5, 24, "applies_to.product.is", "unknown_key", "known here: contains, eq"),
        ("applies_to: {seats: {gte: }}", 5, 26, "applies_to.seats.gte", "wrong_value", "give `gte` a value"),
        ("applies_to: {plan: {prefix: }}", 5, 28, "applies_to.plan.prefix", "wrong_value", "nothing to compare with"),
        ("applies_to: {plan: {exists: }}", 5, 28, "applies_to.plan.exists", "wrong_value", "nothing to compare with"),
        ("applies_to: {plan: {in: }}", 5, 24, "applies_to.plan.in", "wrong_value", "nothing to compare with"),
        ("- x", 5, 1, "", "invalid_yaml", "not valid YAML"),
        ("x: !!python/object:os.system {}", 5, 1, "x", "unknown_key", "unknown key"),
    ],
)
def test_refused_beside_a_good_plan(extra: str, line: int, column: int, path: str, code: str, says: str) -> None:
    """Each finding has its place, its path, a stable code and says what to do."""
    (found,) = refused(MINIMAL + extra + "\n")
    assert found[:4] == (line, column, path, code)
    assert says in found[4]


@pytest.mark.parametrize(
    ("milestone", "column", "path", "code", "says"),
    [
        ("{due: tomorrow}", 13, ".due", "wrong_value", "write `week 4`"),
        ("{due: week 0}", 13, ".due", "wrong_value", "between week 1"),
        ("{when: {people: 65}}", 23, ".when.people", "wrong_value", "less than or equal to 64"),
        ("{when: {evnt: a.b}}", 14, ".when", "wrong_condition", "did you mean `event`"),
        ("{when: [a.b]}", 14, ".when", "wrong_condition", "{any: […]}"),
        ("{when: vlaue}", 14, ".when", "unknown_milestone", "did you mean `value`?"),
        ("{when: Data Imported}", 14, ".when", "unknown_milestone", "write {event: Data Imported}"),
        ("{needs: [vlaue], when: a.b}", 16, ".needs[0]", "unknown_milestone", "did you mean `value`?"),
        (
            "{when: {any: [{event: a.b, where: {rows: {lt: }}}]}}",
            52,
            ".when.any[0].where.rows.lt",
            "wrong_value",
            "give `lt` a value",
        ),
        ("{when: {any: []}}", 20, ".when.any", "wrong_value", "at least 1 item"),
        ("{when: {event: a.b, count: 65}}", 34, ".when.count", "wrong_value", "less than or equal to 64"),
        ("{when: {event: a.b, count: two}}", 34, ".when.count", "wrong_type", "a whole number"),
        ("{when: {event: 'a*b'}}", 22, ".when.event", "wrong_name", "`reports.*`"),
        ("{when: {event: a.b, where: {x: {gtt: 1}}}}", 39, ".when.where.x.gtt", "unknown_key", "`gt`"),
        ("{when: {event: a.b, where: {x: {}}}}", 38, ".when.where.x", "wrong_value", "needs an operator"),
        ("{when: {at_least: {n: 3, of: [a.b, c.d]}}}", 29, ".when.at_least.n", "unreachable_milestone", "n: 2"),
        ("{when: {any: [a.b, {all: [c.d, nope]}]}}", 38, ".when.any[1].all[1]", "unknown_milestone", "`nope`"),
        ("{required: maybe}", 18, ".required", "wrong_type", "true or false"),
        ("null", 7, "", "wrong_type", "for none, write {}"),
    ],
)
def test_refused_milestone(milestone: str, column: int, path: str, code: str, says: str) -> None:
    """Milestones and conditions, at any depth."""
    (found,) = refused(f"plan: x\nfirst_value: value\nmilestones:\n  value: {{when: a.b}}\n  mm: {milestone}\n")
    assert found[:4] == (5, column, f"milestones.mm{path}", code)
    assert says in found[4]


@pytest.mark.parametrize(
    ("text", "line", "path", "code", "says"),
    [
        ("", 1, "", "empty", "start with `plan:"),
        ("- x\n", 1, "", "wrong_type", "start with `plan:"),
        ("plan: [\n", 2, "", "invalid_yaml", "not valid YAML"),
        (MINIMAL.replace("first_value: value", "first_value: vaule"), 4, "first_value", "unknown_milestone", "`value`"),
        (MINIMAL.replace("when: a.b", "required: false"), 2, "milestones", "rule_never_fires", "activated at once"),
        (MINIMAL.replace("minimal", "My Plan"), 1, "plan", "wrong_name", "lower-case"),
        (MINIMAL.replace("value: {", "val.ue: {"), 3, "milestones.val.ue", "wrong_name", "never has a dot"),
        (MINIMAL + "#" * 300_000, 1, "", "too_large", "256 KiB"),
    ],
)
def test_refused_as_a_whole(text: str, line: int, path: str, code: str, says: str) -> None:
    """Files that are no plan at all, or whose parts do not fit together."""
    found = next(one for one in refused(text) if one[3] == code)
    assert (found[0], found[2]) == (line, path)
    assert says in found[4]


def test_all_findings_at_once() -> None:
    """Nobody has to fix a file one error at a time; findings come in the order of the file."""
    text = MINIMAL.replace("when: a.b", "due: never, wen: a.b") + "grace: x\nrisks: []\n"
    assert [one[2] for one in refused(text)] == ["milestones.value.due", "milestones.value.wen", "grace", "risks"]


def test_missing_keys_are_named() -> None:
    """With what to write."""
    found = refused("title: x\n")
    assert {one[2] for one in found} == {"plan", "milestones", "first_value"}
    assert all(one[3] == "missing_key" for one in found)


def test_cycles_are_shown() -> None:
    """Over `needs` and conditions alike."""
    text = "plan: x\nfirst_value: a\nmilestones:\n  a: {needs: [b], when: x.y}\n  b: {when: {any: [a, c.d]}}\n"
    (found,) = refused(text)
    assert found[3] == "cycle"
    assert "`a` needs `b` needs `a`" in found[4] or "`b` needs `a` needs `b`" in found[4]


def test_due_past_the_window() -> None:
    """In the segment in which it is, stretched by its pace."""
    text = MINIMAL.replace("when:", "due: week 4, when:")
    segments = "segments: {fast: {pace: 0.5, window: 20d}, slow: {pace: 2, window: 50d}, else: fast}\n"
    (found,) = refused(text + segments)
    assert found[:4] == (3, 16, "milestones.value.due", "due_past_window")
    assert "day 56" in found[4]
    assert "`slow`" in found[4]


def test_rules_that_can_never_fire() -> None:
    """Another rule holds earlier in every case."""
    dated = MINIMAL.replace("when:", "due: week 4, when:")
    (late,) = refused(dated + "at_risk_after: 30d\n")
    assert late[2:4] == ("at_risk_after", "rule_never_fires")
    assert late[4].startswith("can never be the reason: another rule holds by day 28.0417")
    assert load_plan(dated + "at_risk_after: 20d\n").plan.segments["all"].at_risk_after_ms == 20 * DAY_MS
    (grace,) = refused(dated + "grace: 7d\nstalled: {overdue: 7d}\n")
    assert grace[2:4] == ("grace", "rule_never_fires")


def test_at_risk_after_per_segment() -> None:
    """A value for each segment, or `else`."""
    segments = "segments: {a: {}, b: {}, else: a}\n"
    (found,) = refused(MINIMAL + segments + "at_risk_after: {a: 3d}\n")
    assert found[3] == "segment_without_value"
    assert "`b`" in found[4]
    built = load_plan(MINIMAL + segments + "at_risk_after: {a: 3d, else: 5d}\n").plan.segments
    assert [built[one].at_risk_after_ms for one in "ab"] == [3 * DAY_MS, 5 * DAY_MS]


def test_facts_have_a_worst_case() -> None:
    """A plan that could need more than 16 KB for one account is refused."""
    many = "\n".join(f"  m{one}: {{when: {{event: e.{one}, count: 64}}}}" for one in range(20))
    (found,) = refused(f"plan: x\nfirst_value: m1\nmilestones:\n{many}\n")
    assert found[3] == "too_large"


def test_aliases_of_yaml_cannot_blow_up() -> None:
    """A small file that unfolds into a huge one is refused quickly."""
    layers = "\n".join(f"l{one}: &l{one} [{', '.join(['*l' + str(one - 1)] * 10)}]" for one in range(1, 9))
    (found,) = refused(f"l0: &l0 [x]\n{layers}\n")
    assert found[3] == "too_large"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 20_000, "- " * 50_000, "? " * 50_000, f"[{'a,' * 100_000}]"])
def test_deep_and_long_files_are_refused_before_they_are_parsed(text: str) -> None:
    """The parser alone would take seconds."""
    (found,) = refused(text)
    assert (found[0], found[3]) == (1, "too_large")


def test_hash_is_of_content() -> None:
    """Comments, key order, quoting and written-out defaults do not make a version; a changed value does."""
    hashes = {
        load_plan(text).hash
        for text in (
            SMALL_PLAN,
            "# about\n" + SMALL_PLAN.replace("grace: 3d", "grace: '3d'  # days"),
            "\n".join(["grace: 3d", *SMALL_PLAN.replace("grace: 3d\n", "").splitlines(), "day: 24h"]),
            SMALL_PLAN.replace("when: data.imported}", "required: true, when: data.imported}"),
        )
    }
    assert len(hashes) == 1
    assert load_plan(SMALL_PLAN.replace("grace: 3d", "grace: 4d")).hash not in hashes


@pytest.mark.parametrize("text", [SMALL_PLAN, MINIMAL, *(template_text(name) for name in TEMPLATES)])
def test_content_gives_the_plan_back(text: str) -> None:
    """What a published version stores is the plan that was checked."""
    checked = load_plan(text)
    assert plan_from_content(checked.content) == checked


def test_where_survives_storage() -> None:
    """Operators, short forms and null included."""
    tests = "{a: {gte: 1, lt: 5}, b: pro, c: {eq: null}, d: {in: [x, 2]}, e: {exists: false}}"
    checked = load_plan(MINIMAL.replace("a.b", f"{{event: a.b, where: {tests}}}"))
    assert plan_from_content(checked.content) == checked
    (leaf,) = checked.plan.leaves()
    assert [(one.path, one.operator, one.wanted) for one in leaf.tracker.selector.where] == [
        (("a",), "gte", 1),
        (("a",), "lt", 5),
        (("b",), "eq", "pro"),
        (("c",), "eq", None),
        (("d",), "in", ["x", 2]),
        (("e",), "exists", False),
    ]


def test_lengths_scale_with_the_day() -> None:
    """Every duration, grace included; weeks are stretched by pace, durations are not."""
    text = SMALL_PLAN.replace("data: {due: week 1", "data: {due: 10d") + "day: 12h\n"
    built = plan(text)
    assert built.grace_ms == 3 * 12 * HOUR_MS
    assert built.segments["smb"].due_offsets_ms == {"data": 10 * 12 * HOUR_MS, "output": 7 * 12 * HOUR_MS}
    assert built.quiet_ms == 14 * 12 * HOUR_MS
    assert load_plan(MINIMAL + "day: 48h\n").plan.grace_ms == 2 * HOUR_MS


def wanted(built: Plan, name: str) -> bool:
    """Whether any condition of the plan asks for events of this name."""
    return bool(plan_set([built]).wanting(name))


def test_aliases() -> None:
    """A mapped name also means itself; an unmapped one means itself; prefixes reach mapped names too."""
    text = MINIMAL + "events: {a.b: [Alpha Beta], c.d: Gamma}\n"
    assert [wanted(load_plan(text).plan, name) for name in ("a.b", "Alpha Beta", "Gamma", "c.d")] == [
        True,
        True,
        False,
        False,
    ]
    prefixed = load_plan(text.replace("when: a.b", "when: 'c.*'")).plan
    assert [wanted(prefixed, name) for name in ("Gamma", "c.d", "c.anything", "c", "cd", "a.b")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert wanted(load_plan(MINIMAL.replace("a.b", "'*'")).plan, "Whatever Comes")
    assert wanted(load_plan(MINIMAL.replace("a.b", "{event: No Dots}")).plan, "No Dots")


def test_equal_leaves_share_facts() -> None:
    """Across plans and versions, whatever the order in which names and tests are written."""
    one = load_plan(MINIMAL.replace("a.b", "{event: x.y, where: {a: 1, b: 2}}")).plan
    two = load_plan(
        MINIMAL.replace("minimal", "other").replace("a.b", "{where: {b: 2, a: 1}, event: x.y, count: 1}")
    ).plan
    assert len(plan_set([one, two]).trackers) == 1


def test_plan_set_limits() -> None:
    """200 live plans, one version of each."""
    one = plan_set().live[0]
    with pytest.raises(ValueError, match="one live version"):
        PlanSet.of([one, one])
    many = [load_plan(MINIMAL.replace("minimal", f"p{number}")).plan for number in range(201)]
    with pytest.raises(ValueError, match="at most 200"):
        plan_set(many)
