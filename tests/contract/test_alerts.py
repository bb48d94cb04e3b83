"""Rules, alerts and runbooks: parsed and run by promtool, and in step with one another and with the code."""

from __future__ import annotations

import functools
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.prometheus.__main__ import FOLDER, files
from deploy.prometheus.burning import BURNING, TOO_FEW
from deploy.prometheus.causes import CAUSES
from deploy.prometheus.objectives import BURNS, OBJECTIVES
from deploy.prometheus.rules import ALERTS, as_yaml, rule_groups, runbook
from deploy.prometheus.spans import Scale
from tests.contract import metrics_catalogue
from tests.contract.test_metrics import registries
from tests.programs import promtool

_ROOT = Path(__file__).parents[2]
_RUNBOOKS = _ROOT / "deploy" / "runbooks"
_PAGING = {"TargetDown", "ClockFrozen", "OffsetGap", "AuditMismatch"}
_PROMISED = _PAGING | {
    *("ConsumerStalled", "LagGrowing", "ConsumerMissing", "RebalanceStorm", "LedgerUnpublished", "NotifierBacklog"),
    *("DeadLettersArriving", "TimerLate", "StalledStorm", "PoolExhausted", "DatabaseErrors", "PublishFailing"),
    *("BlockedAddressSpike", "LargeStates", "SecretExpiring", "ResolverBehind", "SignalsUnread", "Watchdog"),
}
_METRIC = re.compile(r"\bfirstvalue_\w+")
_SELECTED = re.compile(r"\b(firstvalue_\w+)\{([^}]*)\}")
# What Prometheus adds by itself, and what is known only while a service runs.
_ANY = {"job", "instance", "partition", "route", "code"}


def metric_names() -> set[str]:
    """Every name under which the services export samples."""
    names = set()
    for metrics in metrics_catalogue.described().values():
        for one in metrics:
            suffixes = ("_bucket", "_count", "_sum") if one.kind == "histogram" else ("",)
            names |= {one.name + suffix for suffix in suffixes}
    return names


@functools.cache
def _label_values() -> dict[tuple[str, str], set[str]]:
    """By sample and label."""
    found: dict[tuple[str, str], set[str]] = {}
    for registry in registries().values():
        for sample in (sample for family in registry.collect() for sample in family.samples):
            for label, value in sample.labels.items():
                found.setdefault((sample.name, label), set()).add(value)
    return found


def unknown_labels(text: str) -> list[str]:
    """Selections of series that no service exports: of another label, or of a value, a bucket too, that it has not."""
    return [
        f"{metric}{{{label}={value}}}"
        for metric, selectors in _SELECTED.findall(text)
        for label, value in re.findall(r'(\w+)="([^"]*)"', selectors)
        if label not in _ANY and value not in _label_values().get((metric, label), ())
    ]


def test_the_files_of_prometheus_are_fresh() -> None:
    """`python -m deploy.prometheus` would change nothing."""
    for path, text in files():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_promtool_takes_rules_and_configuration() -> None:
    """Both files as they are deployed."""
    assert "SUCCESS" in promtool("check", "config", FOLDER / "prometheus.yml")
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", FOLDER / "firstvalue.rules.yml")


def test_every_promised_alert_exists_and_only_those_page_that_may() -> None:
    """A page is for what loses or distorts data, for a dead process, and for an error budget that burns."""
    burning = {f"{objective.name}{burn.suffix}": burn.severity for objective in OBJECTIVES for burn in BURNS}
    severities = {alert.name: alert.severity for alert in ALERTS}
    assert set(severities) == _PROMISED | set(burning)
    paging = {name for name, severity in severities.items() if severity == "page"}
    assert paging == _PAGING | {name for name, severity in burning.items() if severity == "page"}


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    """The page that `runbook_url` names is there, with what to look at and what to do."""
    pages = {path.stem for path in _RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {runbook(alert) for alert in ALERTS}
    groups = rule_groups()["groups"]
    shown = {rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert {_ROOT / path for path in shown} == {_RUNBOOKS / f"{page}.md" for page in pages}
    (elsewhere, *_) = rule_groups(runbooks="https://wiki.acme.example")["groups"][-1]["rules"]
    assert elsewhere["annotations"]["runbook_url"].startswith("https://wiki.acme.example/")
    for page in pages:
        text = (_RUNBOOKS / f"{page}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {page}\n")
        assert "## Look" in text
        assert "## Do" in text


def test_what_a_runbook_names_exists() -> None:
    """Log lines, reasons, metrics and settings: somebody looks for them in a hurry."""
    sources = [*(_ROOT / "services").rglob("*.py"), *(_ROOT / "deploy").rglob("*.py"), *_ROOT.glob("docs/*.md")]
    known = {word for source in sources for word in re.findall(r"\w+", source.read_text(encoding="utf-8"))}
    classes = {value for (_, label), values in _label_values().items() if label == "sqlstate_class" for value in values}
    for path in _RUNBOOKS.glob("*.md"):
        named = set(re.findall(r"`(\w+)`", path.read_text(encoding="utf-8")))
        assert named <= known | classes, path.name
        assert {word for word in named if word.isdecimal()} <= classes, path.name


def test_alertmanager_routes_what_exists() -> None:
    """Names of alerts and jobs, severities and receivers; a cause that is told of hides no page."""
    text = (_ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    config = YAML(typ="safe").load(text)
    named = {name for names in re.findall(r'alertname=~?"([^"]+)"', text) for name in names.split("|")}
    assert named <= {alert.name for alert in ALERTS}
    assert set(re.findall(r'severity="(\w+)"', text)) == {"page"}
    assert set(re.findall(r'job="([\w-]+)"', text)) <= {f"firstvalue-{name}" for name in metrics_catalogue.described()}
    routes = [config["route"], *config["route"]["routes"]]
    assert {route["receiver"] for route in routes} == {receiver["name"] for receiver in config["receivers"]}
    hidden = {name for rule in config["inhibit_rules"] for name in re.findall(r"\w+", rule["target_matchers"][0])}
    assert not hidden & _PAGING


def test_every_metric_of_a_rule_exists_in_the_code() -> None:
    """A name that nothing exports would make a rule that never fires."""
    used = set(_METRIC.findall(as_yaml(rule_groups())))
    assert len(used) > 20
    assert used - metric_names() == set()


def test_every_series_of_a_rule_and_of_its_tests_exists_in_the_code() -> None:
    """Nor does a rule fire whose label has another value, and a test of it proves nothing."""
    played = "\n".join(series for alert in ALERTS for series in (*alert.firing, *alert.quiet))
    assert not unknown_labels(as_yaml(rule_groups()) + played)
    assert unknown_labels('firstvalue_engine_signals_total{type="account.staled"}')
    assert unknown_labels('firstvalue_notifier_first_attempt_delay_seconds_bucket{le="60"}')


def test_a_quiet_case_plays_all_that_its_alert_asks() -> None:
    """Without a series every alert is quiet."""
    for alert in CAUSES:
        asked = set(_METRIC.findall(alert.expression))
        assert asked <= set(_METRIC.findall(" ".join(alert.quiet))), alert.name


def test_a_scaled_rule_differs_in_its_times_alone() -> None:
    """What the live test evaluates are the same rules, sixty times as fast."""
    slow, fast = rule_groups(), rule_groups(scale=Scale(1 / 60))
    for group, scaled in zip(slow["groups"], fast["groups"], strict=True):
        for rule, other in zip(group["rules"], scaled["rules"], strict=True):
            assert rule.keys() == other.keys()
            assert _METRIC.findall(rule["expr"]) == _METRIC.findall(other["expr"])
    assert Scale(1 / 60).expression("rate(x[5m]) > {120s}") == "rate(x[5000ms]) > 2"


def _case(series: Mapping[str, str], after: str, *, firing: Iterable[str] = (), quiet: Iterable[str] = ()) -> Any:
    expected = [(name, [{"labels": "{}", "value": 1}]) for name in firing] + [(name, []) for name in quiet]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > bool 0',
                "eval_time": after,
                "exp_samples": samples,
            }
            for name, samples in expected
        ],
    }


def _cases_of_causes() -> Iterator[Any]:
    for alert in CAUSES:
        yield _case(alert.firing, alert.after, firing=[alert.name])
        if alert.name != "Watchdog":
            yield _case(alert.quiet, alert.after, quiet=[alert.name])
    clock, up = 'firstvalue_engine_clock_age_seconds{partition="0"}', 'up{job="firstvalue-engine",instance="e"}'
    yield _case({up: "1x60"}, "30m", firing=["ClockFrozen"])
    # What was started anew, or is down, which is told already.
    yield _case({up: "1x60", clock: "5x25 _x4 5x31"}, "30m", quiet=["ClockFrozen"])
    yield _case({up: "0x60"}, "30m", quiet=["ClockFrozen"])


def _cases_of_burning() -> Iterator[Any]:
    """All objectives side by side, for each case evaluates seven hours."""
    names, after = [alert.name for alert in BURNING], BURNING[0].after
    yield _case(ChainMap(*(dict(alert.firing) for alert in BURNING)), after, firing=names)
    yield _case(ChainMap(*(dict(alert.quiet) for alert in BURNING)), after, quiet=names)
    yield _case(ChainMap(*(dict(few) for few in TOO_FEW.values())), after, quiet=names)


@pytest.mark.parametrize("cases", [_cases_of_causes, _cases_of_burning], ids=["causes", "burning"])
def test_every_alert_fires_when_it_should_and_only_then(cases: Callable[[], Iterator[Any]], tmp_path: Path) -> None:
    """Promtool plays each alert what makes it fire, what does not, and too little traffic to conclude anything."""
    rules, tests = tmp_path / "rules.yml", tmp_path / "tests.yml"
    # Promtool evaluates every rule for every case: only those that are asked about, and long windows in longer steps.
    causes = cases is _cases_of_causes
    own = [one for one in rule_groups()["groups"] if (one["name"] == "firstvalue-causes") is causes]
    step = "30s" if causes else "5m"
    rules.write_text(as_yaml({"groups": [group | {"interval": step} for group in own]}))
    tests.write_text(as_yaml({"rule_files": [str(rules)], "evaluation_interval": step, "tests": list(cases())}))
    assert "SUCCESS" in promtool("test", "rules", tests)
