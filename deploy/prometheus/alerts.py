"""One alert, with what makes it fire and what leaves it quiet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Series = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`severity` is `page` (a person now), `ticket` (one today) or `none`; `expression` is written as `Scale` reads it;
    `panel` names dashboard and panel that show the same; `runbook` is the page, by default the alert's name.

    `firing` and `quiet` are series of one value a minute in promtool's notation, with which the alert fires at `after`,
    or does not.
    """

    name: str
    severity: str
    expression: str
    hold: str
    summary: str
    description: str
    panel: tuple[str, str]
    firing: Series
    quiet: Series
    after: str = "30m"
    runbook: str = ""
