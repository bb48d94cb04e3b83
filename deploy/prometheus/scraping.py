"""What Prometheus scrapes: three jobs, whose names the rules know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def scrape_config(
    targets: Mapping[str, Sequence[str]],
    *,
    rule_files: Sequence[str],
    interval: str = "15s",
    alertmanagers: Sequence[str] = (),
) -> dict[str, Any]:
    """The configuration file; `targets` are host:port of the private ports by service."""
    alerting = {"alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]}}
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": list(rule_files),
        **(alerting if alertmanagers else {}),
        "scrape_configs": [
            {"job_name": f"firstvalue-{service}", "static_configs": [{"targets": list(addresses)}]}
            for service, addresses in targets.items()
        ],
    }
