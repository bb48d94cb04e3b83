"""The rule file of Prometheus: recorded ratios of the objectives, and all alerts."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from deploy.prometheus.alerts import Alert
from deploy.prometheus.burning import BURNING
from deploy.prometheus.causes import CAUSES
from deploy.prometheus.objectives import OBJECTIVES, WINDOWS, Objective, ratio_record, total_record
from deploy.prometheus.spans import Scale, seconds

ALERTS: tuple[Alert, ...] = (*BURNING, *CAUSES)
# As a path in this repository; `python -m deploy.prometheus --runbooks URL` makes it an address.
RUNBOOKS = "deploy/runbooks"
_INTERVAL = "30s"


def rule_groups(*, scale: Scale | None = None, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The rule file as data; a `scale` other than 1 is for tests that cannot wait."""
    scale = scale or Scale()
    recording = [rule for objective in OBJECTIVES for rule in _recording_rules(objective, scale)]
    return {
        "groups": [
            _group("firstvalue-objectives", recording, scale),
            _group("firstvalue-burning", [_alerting_rule(alert, scale, runbooks) for alert in BURNING], scale),
            _group("firstvalue-causes", [_alerting_rule(alert, scale, runbooks) for alert in CAUSES], scale),
        ]
    }


def _group(name: str, rules: Sequence[dict[str, Any]], scale: Scale) -> dict[str, Any]:
    return {"name": name, "interval": scale.span(_INTERVAL), "rules": list(rules)}


def _recording_rules(objective: Objective, scale: Scale) -> list[dict[str, Any]]:
    rules = []
    for window in WINDOWS:
        bad, total = (text.replace("[w]", f"[{window}]") for text in (objective.bad, objective.total))
        span_seconds = seconds(window) * scale.factor
        rules.append(
            {
                "record": ratio_record(objective, window),
                "expr": scale.expression(f"({bad}) / ({total})"),
            }
        )
        rules.append(
            {
                "record": total_record(objective, window),
                "expr": scale.expression(f"({total}) * {span_seconds:g}"),
            }
        )
    return rules


def _alerting_rule(alert: Alert, scale: Scale, runbooks: str) -> dict[str, Any]:
    held = {"for": scale.span(alert.hold)} if seconds(alert.hold) else {}
    return {
        "alert": alert.name,
        "expr": scale.expression(alert.expression),
        **held,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}/{runbook(alert)}.md",
            "dashboard": f"{alert.panel[0]}: {alert.panel[1]}",
        },
    }


def runbook(alert: Alert) -> str:
    """The page of `deploy/runbooks` that says what to do."""
    return alert.runbook or alert.name


def as_yaml(document: Any) -> str:
    """`document` as people review it."""
    yaml = YAML()
    yaml.width = 200
    yaml.default_flow_style = False
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()
