"""Trying plans out on example streams: every kind of record, differences told, `expected` filled in, advice given."""

from __future__ import annotations

import pytest

from services.activation_engine.plan_templates import template_text
from services.activation_engine.plans.advice import COMPARED_MAX, SeenName, advise, seen_names
from services.activation_engine.plans.errors import PlanErrors
from services.activation_engine.plans.examples import load_example, with_expected
from services.activation_engine.plans.loader import load_plan
from services.activation_engine.plans.rehearsal import rehearse

PLAN = """\
plan: small
start: [contract_start, first_event]
milestones:
  data: {due: 4d, when: data.imported}
  value: {due: 6d, when: {event: report.made, where: {pages: {gte: 2}}}}
first_value: value
grace: 1d
risks: {lonely: {quiet: champion, for: 3d}}
"""


def told(records: str, *, days: int = 10, plan: str = PLAN) -> list[str]:
    """What is announced, in short."""
    example = load_example(f"days: {days}\nrecords:\n{records}")
    lines = rehearse(load_plan(plan).plan, example).announced
    return [" ".join(f"{value:g}" if isinstance(value, float) else value for value in one.values()) for one in lines]


def test_records_of_every_kind() -> None:
    """Events with properties, roles, repeats and series; identify; commands with dates by day."""
    assert told("""
  - {day: 0, account: a, set: {contract_start: day 1}}
  - {day: 1, account: a, user: ann, identify: {}, role: champion}
  - {day: 1.5, account: a, user: ann, role: champion, page: Home, every: 2, times: 2}
  - {day: 2, account: a, user: dana, staff: true, event: data.imported}
  - {day: 3, account: a, note: {event: data.imported}}
  - {day: 4, account: a, user: bob, event: report.made, properties: {pages: 1}, repeat: 2}
  - {day: 5, account: a, user: bob, event: report.made, properties: {pages: 2}}
""") == [
        "1 a activation_started",
        "3 a milestone_reached data",
        "5 a milestone_reached value",
        "5 a first_value_reached value",
        "5 a activated",
        "6.5 a risk_opened lonely",
    ]


@pytest.mark.parametrize("said", ["identify: {role: champion}", "identify: {}, role: champion"])
def test_what_identify_said_is_on_later_records(said: str) -> None:
    """As live: the newest role, unless the record names another; staff stay staff."""
    used = "{day: 2, account: a, user: ann, page: Home, every: 1, times: 8}"
    assert "4 a risk_opened lonely" in told(
        f"\n  - {{day: 1, account: a, user: ann, {said}}}\n  - {{day: 1, account: a, user: bob, page: Home}}\n"
    )
    assert "lonely" not in str(told(f"\n  - {{day: 1, account: a, user: ann, {said}}}\n  - {used}\n"))
    other = used.replace("page", "role: end_user, page")
    assert "lonely" in str(told(f"\n  - {{day: 1, account: a, user: ann, {said}}}\n  - {other}\n"))
    later = "{day: 1.5, account: a, user: ann, identify: {role: end_user}}"
    assert "lonely" in str(told(f"\n  - {{day: 1, account: a, user: ann, {said}}}\n  - {later}\n  - {used}\n"))
    staff = "{day: 1, account: a, user: ann, staff: true, identify: {}}"
    assert told(f"\n  - {staff}\n  - {used}\n") == []


def test_commands() -> None:
    """Pauses move every date; marks, waivers and closings decide at once."""
    assert told(
        """
  - {day: 0, account: p, set: {contract_start: day 0}}
  - {day: 1, account: p, pause: {reason: holidays, until: day 4}}
  - {day: 0, account: m, set: {contract_start: day 0}}
  - {day: 2, account: m, waive: {milestone: data}}
  - {day: 3, account: m, mark: {milestone: value}}
  - {day: 4, account: m, close: {reason: done}}
""",
        days=9,
    ) == [
        "0 p activation_started",
        "0 m activation_started",
        "3 m milestone_reached value",
        "3 m first_value_reached value",
        "3 m activated",
        "4 m closed",
        "8 p at_risk data milestone_overdue",
    ]


def test_days_are_those_of_the_plan() -> None:
    """The same story in two lengths of a day, one of them too long for few ticks."""
    records = "\n  - {day: 0, account: p, set: {contract_start: day 0}}\n"
    slow, quick = told(records, plan=PLAN + "day: 72h\n"), told(records, plan=PLAN + "day: 800ms\n")
    assert slow == quick == ["0 p activation_started", "5 p at_risk data milestone_overdue"]


def test_differences() -> None:
    """What is missing and what is more, each as often as it is."""
    example = load_example("""\
days: 6
records: [{day: 0, account: p, set: {contract_start: day 0}}]
expected:
  - {day: 0, account: p, type: activation_started}
  - {day: 0, account: p, type: activation_started}
""")
    outcome = rehearse(load_plan(PLAN).plan, example)
    assert not outcome.as_expected
    assert outcome.missing == [{"day": 0, "account": "p", "type": "activation_started"}]
    assert [(one["day"], one["type"]) for one in outcome.unexpected] == [(5, "at_risk")]


def test_filling_in_keeps_the_rest() -> None:
    """Comments and keys around `expected` stay; names that YAML would read as something else are quoted."""
    lines = [{"day": 0.25, "account": "null", "type": "closed"}, {"day": 3.0, "account": "a b", "type": "closed"}]
    text = "# mine\ndays: 1\nexpected: [{day: 1, account: x, type: closed}]\n# below\nrecords: []\n"
    filled = with_expected(text, lines)
    assert filled.startswith("# mine\ndays: 1\nexpected:\n  - {day: 0.25, ")
    assert filled.endswith("\nrecords: []\n")
    assert load_example(filled).expected == lines
    assert with_expected(filled, lines) == filled
    assert load_example(with_expected("days: 1\nrecords: []\n", lines)).expected == lines
    assert load_example(with_expected(text, [])).expected == []


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("days: 3\n", 1, "`records` is not a list"),
        ("days: long\nrecords: []\n", 1, "`days` is not a number from 0 to 1000"),
        ("days: 1\nrecord: []\n", 2, "did you mean `records`?"),
        ("days: 1\nrecords:\n  - 3\n", 3, "not a mapping"),
        ("days: 1\nrecords:\n  - {day: 1, account: a}\n", 3, "write one of event, page"),
        ("days: 1\nrecords:\n  - {day: 1, account: a, event: x, set: {}}\n", 3, "one thing that happens"),
        ("days: 1\nrecords:\n  - {day: 1, event: x}\n", 3, "`account` is not a text"),
        ("days: 1\nrecords:\n  - {day: -1, account: a, event: x}\n", 3, "`day` is not a number"),
        ("days: 1\nrecords:\n  - {day: 1, account: a, evnt: x}\n", 3, "did you mean `event`?"),
        ("days: 1\nrecords:\n  - {day: 1, account: a, set: x}\n", 3, "write {key: value}"),
        ("days: 1\nrecords: []\nexpected:\n  - {day: 1, tpye: x}\n", 4, "did you mean `type`?"),
    ],
)
def test_refused_examples(text: str, line: int, says: str) -> None:
    """By line, with what to write."""
    with pytest.raises(PlanErrors) as refused:
        load_example(text, file="e.yaml")
    (found,) = refused.value.errors
    assert (found.file, found.line, found.code) == ("e.yaml", line, "wrong_example")
    assert says in f"{found.message}; {found.hint}"


def test_a_refused_command_is_told() -> None:
    """What the engine would set aside as a dead letter is no silent success."""
    with pytest.raises(PlanErrors) as refused:
        told("\n  - {day: 1, account: a, close: {}}\n")
    assert "needs a text in `reason`" in str(refused.value)


def test_advice_on_names() -> None:
    """What nobody sent, with the nearest that somebody did; patterns and aliases count as known."""
    text = template_text("b2b-saas").replace("when: integration.connected", "when: 'integration.*'")
    names = ["Integration Connected", "training_completed", "Data Import", "Workflow Run", "Report Generated"]
    seen = [SeenName(name) for name in names] + [SeenName("List Built", silent=True)]
    found = {one.path: (one.code, f"{one.message}; {one.hint}") for one in advise(text, file="p.yaml", seen=seen)}
    assert "events.integration.connected[0]" not in found
    assert not any("integration.*" in message for _, message in found.values())
    assert found["events.training.completed[0]"][0] == "event_never_seen"
    assert "`training_completed`" in found["events.training.completed[0]"][1]
    assert "`Data Import`" in found["events.data.ingested[0]"][1]
    assert found["events.list.built[0]"][0] == "event_silent"
    assert "risks.open_concern.after" in found
    assert sum("conversation.held" in message for _, message in found.values()) == 1


def test_advice_names_nothing_that_only_sounds_alike() -> None:
    """Another order of the words is near; half the letters are not."""
    seen = [SeenName("Integration Connected"), SeenName("Import Data")]
    found = {one.path: one.hint for one in advise(template_text("b2b-saas"), file="p.yaml", seen=seen)}
    assert "`Import Data`" in found["events.data.ingested[0]"]
    assert "nearest" not in found["events.training.completed[0]"]
    assert "nearest" not in found["risks.new_executive.until"]


def test_advice_has_every_spelling_that_was_sent() -> None:
    """Two that differ by case alone are two names, and either may be the one that is meant."""
    seen = [SeenName("Import Data"), SeenName("import data")]
    found = {one.path: one.hint for one in advise(template_text("b2b-saas"), file="p.yaml", seen=seen)}
    assert found["events.data.ingested[0]"].endswith(": `Import Data`, `import data`")


def test_the_search_for_near_names_has_a_limit() -> None:
    """Thousands of names that nobody sent are all told, the last of them without their nearest, in a moment."""
    sent = "".join(f", Name {number}x" for number in range(COMPARED_MAX // 1000 + 1))
    text = template_text("b2b-saas").replace("[Integration Connected]", f"[Name 0{sent}]")
    seen = [SeenName(f"Name {number}") for number in range(1, 1001)]
    found = {one.path: one for one in advise(text, file="p.yaml", seen=seen)}
    assert "nearest" in found["events.integration.connected[1]"].hint
    last = found[f"events.integration.connected[{COMPARED_MAX // 1000 + 1}]"]
    assert (last.code, "nearest" in last.hint) == ("event_never_seen", False)


def test_advice_on_late_help() -> None:
    """Escalating after the window is allowed, and a warning."""
    text = template_text("b2b-saas").replace("smb: 30d", "smb: 50d")
    (found,) = advise(text, file="p.yaml")
    assert (found.path, found.code) == ("escalate.at.smb", "escalates_late")


def test_catalogue_rows() -> None:
    """As the engine answers them."""
    assert seen_names([{"name": "a", "silent": True, "count": 3}, {"name": "b"}]) == [
        SeenName("a", silent=True),
        SeenName("b"),
    ]
    with pytest.raises(ValueError, match="data"):
        seen_names([{"nom": "a"}])
