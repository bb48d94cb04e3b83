"""Which signals an endpoint receives: by type, origin, and by what the signal says of its account."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

DEFAULT_TYPES = ("account.*",)
# It says nothing of plan, segment, owner or reason; whoever heard of an account must hear that it is to be forgotten.
ERASED = "account.erased"
_FAMILY = ".*"


@dataclass(frozen=True, slots=True)
class About:
    """What a signal says beside its type that endpoints can choose by; None when it says nothing of it."""

    plan: str | None = None
    segment: str | None = None
    owner: str | None = None
    reason: str | None = None


NOTHING = About()


@dataclass(frozen=True, slots=True)
class Filter:
    """An endpoint's choice: `types` and `origins` always choose; of the others an empty one lets everything through."""

    types: tuple[str, ...] = DEFAULT_TYPES
    origins: tuple[str, ...] = ("live",)
    plans: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def wants(self, signal_type: str, origin: str, about: About = NOTHING) -> bool:
        """Whether a signal of this type and origin, about this, is for the endpoint."""
        if origin not in self.origins or not any(type_matches(pattern, signal_type) for pattern in self.types):
            return False
        return signal_type == ERASED or (
            _passes(self.plans, about.plan)
            and _passes(self.segments, about.segment)
            and _passes(self.owners, about.owner)
            and _passes(self.reasons, about.reason)
        )


def type_matches(pattern: str, signal_type: str) -> bool:
    """`account.*` matches every type that starts with `account.`; anything else only itself."""
    if pattern.endswith(_FAMILY):
        return signal_type.startswith(pattern[:-1])
    return pattern == signal_type


def unknown_patterns(patterns: Collection[str], known_types: Collection[str]) -> list[str]:
    """Patterns that match none of `known_types`: probably misspelt."""
    return [pattern for pattern in patterns if not any(type_matches(pattern, known) for known in known_types)]


def _passes(chosen: tuple[str, ...], value: str | None) -> bool:
    return not chosen or value in chosen
