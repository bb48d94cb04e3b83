"""Durations in expressions: written as for production, and shortened as a whole where a test cannot wait."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RANGE = re.compile(r"\[(\d+)([smhd])\]")
_THRESHOLD = re.compile(r"\{(\d+)([smhd])\}")


def seconds(span: str) -> int:
    """How long `span`, such as `5m`, is."""
    return int(span[:-1]) * _UNIT_SECONDS[span[-1]]


@dataclass(frozen=True, slots=True)
class Scale:
    """`factor` 1 leaves durations as they are; 1/60 makes seconds of minutes."""

    factor: float = 1.0

    def span(self, span: str) -> str:
        """A duration as Prometheus writes it."""
        return span if self.factor == 1 else f"{max(1, round(seconds(span) * self.factor * 1000))}ms"

    def expression(self, written: str) -> str:
        """`written` with its ranges, `[5m]`, and its thresholds, `{120s}` which is a number of seconds, to scale."""
        text = _RANGE.sub(lambda found: f"[{self.span(found[1] + found[2])}]", written)
        return _THRESHOLD.sub(lambda found: f"{seconds(found[1] + found[2]) * self.factor:g}", text)
