"""Writes the dashboards that Grafana provisions: `python -m deploy.grafana`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.grafana.panels import DASHBOARDS, Panel

FOLDER = Path(__file__).parent / "dashboards"
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8
# The provisioned data source; see deploy/grafana/provisioning.
_SOURCE = {"type": "prometheus", "uid": "firstvalue-prometheus"}


def files() -> Iterator[tuple[Path, str]]:
    """Each dashboard's file with its content."""
    for name, panels in DASHBOARDS.items():
        yield FOLDER / f"{name}.json", json.dumps(_dashboard(name, panels), indent=2) + "\n"


def _dashboard(name: str, panels: Sequence[Panel]) -> dict[str, Any]:
    return {
        "uid": f"firstvalue-{name}",
        "title": f"Firstvalue {name}",
        "tags": ["firstvalue"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "links": [{"type": "dashboards", "tags": ["firstvalue"], "title": "Firstvalue", "includeVars": True}],
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": panel.lowest}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [_target(place, *query) for place, query in enumerate(panel.queries.items())],
    }


def _target(place: int, legend: str, expression: str) -> dict[str, Any]:
    letter = chr(ord("A") + place)
    return {"refId": letter, "datasource": _SOURCE, "expr": expression, "legendFormat": legend, "exemplar": True}


if __name__ == "__main__":
    for path, text in files():
        path.write_text(text, encoding="utf-8")
