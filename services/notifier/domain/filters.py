"""Which signals an endpoint receives: by type (exact, or a family such as `account.*`) and by origin."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

DEFAULT_TYPES = ("account.*",)
_FAMILY = ".*"


@dataclass(frozen=True, slots=True)
class Filter:
    """An endpoint's choice; an empty `types` receives nothing."""

    types: tuple[str, ...] = DEFAULT_TYPES
    origins: tuple[str, ...] = ("live",)

    def wants(self, signal_type: str, origin: str) -> bool:
        """Whether a signal of this type and origin is for the endpoint."""
        return origin in self.origins and any(type_matches(pattern, signal_type) for pattern in self.types)


def type_matches(pattern: str, signal_type: str) -> bool:
    """`account.*` matches every type that starts with `account.`; anything else only itself."""
    if pattern.endswith(_FAMILY):
        return signal_type.startswith(pattern[:-1])
    return pattern == signal_type


def unknown_patterns(patterns: Collection[str], known_types: Collection[str]) -> list[str]:
    """Patterns that match none of `known_types`: probably misspelt."""
    return [pattern for pattern in patterns if not any(type_matches(pattern, known) for known in known_types)]
