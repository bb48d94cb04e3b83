"""What a run reports when something that must hold does not."""

from __future__ import annotations


class Violation(AssertionError):
    """The run is red."""


def require(holds: bool, *told: object) -> None:
    """Raise Violation unless `holds`; long values are cut."""
    if not holds:
        raise Violation(" ".join(str(one)[:1000] for one in told))
