"""Dashboards ask what exists, in expressions that Prometheus understands, and show what alerts speak of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.grafana.__main__ import FOLDER, files
from deploy.grafana.panels import DASHBOARDS
from deploy.prometheus.rules import ALERTS, as_yaml, rule_groups
from tests.contract.test_alerts import metric_names, unknown_labels
from tests.deployment import compose
from tests.programs import promtool

_METRIC = re.compile(r"\bfirstvalue_\w+")


def _panels() -> list[dict[str, Any]]:
    """All of the provisioned files."""
    return [panel for path in FOLDER.glob("*.json") for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]]


def test_the_dashboards_are_fresh() -> None:
    """`python -m deploy.grafana` would change nothing, and no other file lies there."""
    written = dict(files())
    assert set(FOLDER.glob("*.json")) == set(written)
    for path, text in written.items():
        assert path.read_text(encoding="utf-8") == text, path.name


def _asked(text: str) -> set[str]:
    """The metrics that expressions ask for, be it as a recorded series."""
    rules = [rule for group in rule_groups()["groups"] for rule in group["rules"] if "record" in rule]
    recorded = {rule["record"]: rule["expr"] for rule in rules}
    whole = re.sub(r"deployment:\w+:\w+", lambda found: recorded[found[0]], text)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\b(?:firstvalue_\w+|up)\b", whole)}


def test_every_alert_names_a_panel_that_shows_what_it_asks() -> None:
    """Whoever is called by an alert finds the chart of it."""
    panels = {(name, panel.title): panel for name, dashboard in DASHBOARDS.items() for panel in dashboard}
    for alert in ALERTS:
        shown = _asked(" ".join(panels[alert.panel].queries.values()))
        assert _asked(alert.expression) & shown or alert.name == "Watchdog", alert.name


def test_grafana_finds_the_dashboards_and_their_source() -> None:
    """What provisions them, what they name and what the container mounts are the same."""
    yaml, provisioning = YAML(typ="safe"), FOLDER.parent / "provisioning"
    (source,) = [one for file in provisioning.glob("datasources/*") for one in yaml.load(file)["datasources"]]
    asked = {target["datasource"]["uid"] for panel in _panels() for target in panel["targets"]}
    assert asked == {source["uid"]}
    (provider,) = [one for file in provisioning.glob("dashboards/*") for one in yaml.load(file)["providers"]]
    mounts = [volume.split(":") for volume in compose()["services"]["grafana"]["volumes"]]
    assert ["./deploy/grafana/dashboards", provider["options"]["path"], "ro"] in mounts
    assert ["./deploy/grafana/provisioning", "/etc/grafana/provisioning", "ro"] in mounts


def test_titles_are_unique_within_a_dashboard() -> None:
    """An alert names its panel by title."""
    for dashboard in DASHBOARDS.values():
        titles = [panel.title for panel in dashboard]
        assert len(titles) == len(set(titles))


def test_every_metric_of_a_panel_exists() -> None:
    """In the code, or as a recorded series."""
    recorded = {rule["record"] for group in rule_groups()["groups"] for rule in group["rules"] if "record" in rule}
    names = metric_names()
    for dashboard in DASHBOARDS.values():
        for panel in dashboard:
            for expression in panel.queries.values():
                assert set(_METRIC.findall(expression)) <= names, expression
                assert not unknown_labels(expression)
                assert ":" not in expression or expression in recorded


def _unit(expression: str) -> str:
    """Grafana's name for what the expression gives, by the names of its metrics."""
    if "ratio_rate" in expression or " / " in expression or "_cpu_seconds_total" in expression:
        return "percentunit"
    if "_seconds" in expression:
        return "s"
    if "_bytes" in expression and "above_bytes" not in expression:
        return "bytes"
    return "ops" if "rate(" in expression else "short"


def test_every_panel_has_the_unit_of_what_it_asks() -> None:
    """Metrics name their unit; a rate of counted things is one per second, a share of something is a percentage."""
    for dashboard in DASHBOARDS.values():
        for panel in dashboard:
            assert {_unit(expression) for expression in panel.queries.values()} == {panel.unit}, panel.title


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    """All of what the provisioned files ask, as rules."""
    asked = [target["expr"] for panel in _panels() for target in panel["targets"]]
    assert len(asked) > 50
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(as_yaml({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)
