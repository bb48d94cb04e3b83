"""Dashboards ask what exists, in expressions that Prometheus understands, and show what alerts speak of."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deploy.grafana.__main__ import FOLDER, files
from deploy.grafana.panels import DASHBOARDS
from deploy.prometheus.rules import ALERTS, as_yaml, rule_groups
from tests.contract.test_alerts import metric_names, unknown_labels
from tests.programs import promtool

_METRIC = re.compile(r"\bfirstvalue_\w+")


def test_the_dashboards_are_fresh() -> None:
    """`python -m deploy.grafana` would change nothing, and no other file lies there."""
    written = dict(files())
    assert set(FOLDER.glob("*.json")) == set(written)
    for path, text in written.items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_every_alert_names_a_panel_that_exists() -> None:
    """Whoever is called by an alert finds the chart of it."""
    panels = {(name, panel.title) for name, dashboard in DASHBOARDS.items() for panel in dashboard}
    assert {alert.panel for alert in ALERTS} <= panels


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
    asked = [
        target["expr"]
        for path in FOLDER.glob("*.json")
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    ]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(as_yaml({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)
