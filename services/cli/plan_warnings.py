"""The warnings about a plan as people read them: names that were never sent are one warning, however many they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import asdict

from services.activation_engine.plans.advice import NeverSent, never_sent
from services.activation_engine.plans.errors import PlanError
from services.cli.plan_sources import finding_text

_WHAT_TO_DO = "write the names that you send in `events`; `firstvalue event names` lists those that came"


def warning_texts(warnings: Sequence[PlanError], file: str) -> Iterator[str]:
    """Each as text, in the order of the file; the names that were never sent together, where the first of them is."""
    names = never_sent(warnings)
    together = [one.warning for one in names] if len(names) > 1 else []
    for one in warnings:
        if one not in together:
            yield finding_text(asdict(one), file)
        elif one is together[0]:
            head = f"{file}:{one.line}:{one.column}: {len(names)} event names were never sent"
            yield "\n  ".join([head, *_lines(names)])


def _lines(names: Sequence[NeverSent]) -> Iterator[str]:
    for one in names:
        if one.nearest:
            yield f"{one.name} (line {one.warning.line}); the nearest that were: {one.nearest}"
    strange = ", ".join(f"{one.name} (line {one.warning.line})" for one in names if not one.nearest)
    if strange:
        yield strange
    yield _WHAT_TO_DO
