"""Writes `.env.example` from the settings of all services: `python -m tests.contract.settings_catalogue`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from services.activation_engine.settings import EngineSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import NotifierSettings
from services.runtime.settings import SharedSettings

FILE = Path(__file__).parents[2] / ".env.example"

_HEAD = """\
# Every setting of the three services with its default; a line without a value has none.
# `firstvalue up` passes what is set in its environment on to the services that it starts.
# FIRSTVALUE_DATA_DIR is read by `firstvalue` alone: where the local stack lives (default: .firstvalue).
"""
_SECTIONS: tuple[tuple[str, type[BaseSettings]], ...] = (
    ("All services", SharedSettings),
    ("Ingest", IngestSettings),
    ("Activation engine", EngineSettings),
    ("Notifier", NotifierSettings),
)


def lines() -> Iterator[str]:
    """The file, line by line."""
    yield _HEAD
    for title, settings in _SECTIONS:
        yield f"\n# {title}\n"
        for name, field in settings.model_fields.items():
            yield f"# {field.description}{_bounds(field)}\n"
            yield f"{_variable(settings, name, field)}={_default(field.default)}\n"


def _variable(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, str):
        return field.validation_alias
    return (settings.model_config.get("env_prefix") or "") + name.upper()


def _bounds(field: FieldInfo) -> str:
    signs = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
    found = [
        f"{sign} {getattr(bound, name)}"
        for bound in field.metadata
        for kind, (sign, name) in signs.items()
        if isinstance(bound, kind)
    ]
    return f" ({', '.join(found)})" if found else ""


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""


if __name__ == "__main__":
    FILE.write_text("".join(lines()), encoding="utf-8")
