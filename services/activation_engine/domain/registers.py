"""Last writer wins: values that are set and set again, the newest timestamp first and the message id to break ties."""

from typing import TypeAlias

from msgspec.json import encode

Scalar: TypeAlias = str | int | float | bool | None
# (timestamp in ms, message id, value).
Dated: TypeAlias = tuple[int, str, Scalar]


def keep_newer(registers: dict[str, Dated], name: str, dated: Dated) -> bool:
    """Set `name` unless what is known is as new; whether it changed."""
    known = registers.get(name)
    if known is not None and _rank(known) >= _rank(dated):
        return False
    registers[name] = dated
    return True


def _rank(dated: Dated) -> tuple[int, str, bytes]:
    # The value comes last so that two bodies under one id still have one winner.
    return dated[0], dated[1], encode(dated[2])
