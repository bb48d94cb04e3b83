"""Numbers as an insight's sentence says them."""

from __future__ import annotations


def accounts_text(count: int) -> str:
    """`1 account`, `12,000 accounts`."""
    return f"{count:,} account" if count == 1 else f"{count:,} accounts"


def are(count: int) -> str:
    """The verb that follows a count."""
    return "is" if count == 1 else "are"


def share_text(rate: float) -> str:
    """A rate of 0 to 1 in whole percent."""
    return f"{rate:.0%}"


def days_text(days: float | None) -> str:
    """`12.5 days`; unknown when there is none."""
    if days is None:
        return "an unknown number of days"
    return f"{days:.1f}".removesuffix(".0") + (" day" if days == 1 else " days")


def rounded(value: float | None, digits: int = 2) -> float | None:
    """For people and programs alike."""
    return None if value is None else round(value, digits)
