"""How a simulated world says that a promise is broken."""

from __future__ import annotations


class Violation(Exception):
    """A promise is broken."""


def require(holds: bool, what: str, *details: object) -> None:
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(" ".join([what, *map(str, details)]))
