"""Shares and days as a person sees them in a terminal."""

from __future__ import annotations

_CELLS = 20
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float) -> str:
    """A bar of at most 20 characters for 0 to 1, as fine as an eighth of a character."""
    eighths = round(max(0.0, min(1.0, share)) * _CELLS * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def percent(share: float | None) -> str | None:
    """Whole percent; None stays None."""
    return None if share is None else f"{share:.0%}"


def days(number: float | None) -> str | None:
    """One decimal, as in the sentence of an insight; None stays None."""
    return None if number is None else f"{number:.1f}"
