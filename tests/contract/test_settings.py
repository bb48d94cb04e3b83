"""Every setting is listed with its unit and limits where operators look for it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from pydantic_settings import BaseSettings

from services.cli.__main__ import new_command
from tests.contract import settings_catalogue


def test_the_example_environment_is_fresh() -> None:
    """`python -m tests.contract.settings_catalogue` would change nothing."""
    assert settings_catalogue.FILE.read_text(encoding="utf-8") == "".join(settings_catalogue.lines())


def test_the_example_environment_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once what is required was filled in: an empty line would say that there is nothing, not that it is left out."""
    required = {"DATABASE_URL": "postgresql://", "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092"}
    required["FIRSTVALUE_NOTIFIER_SECRET_KEY"] = base64.b64encode(bytes(32)).decode()
    for line in settings_catalogue.FILE.read_text(encoding="utf-8").splitlines():
        name, sign, value = line.partition("=")
        if sign and not name.startswith("#"):
            monkeypatch.setenv(name, required.get(name, value))
    for _, settings in settings_catalogue._SECTIONS:
        assert settings() is not None


def test_the_page_of_settings_is_fresh() -> None:
    """The same command writes it."""
    assert settings_catalogue.PAGE.read_text(encoding="utf-8") == "".join(settings_catalogue.page())


def variables(command: Any) -> Iterator[str]:
    """Those that a command and the verbs below it read."""
    for option in command.params:
        named = option.envvar or ()
        yield from (named,) if isinstance(named, str) else named
    for verb in getattr(command, "commands", {}).values():
        yield from variables(verb)


def test_the_variables_of_the_command_line_are_told() -> None:
    """Each of them, beside those that are settings of the services."""
    read = {"FIRSTVALUE_DATA_DIR", *variables(typer.main.get_command(new_command()))}
    told = set(re.findall(r"`([A-Z_]{5,})`", settings_catalogue._PAGE_TAIL))
    assert told == read - {"KAFKA_BOOTSTRAP_SERVERS", "FIRSTVALUE_TOPIC_PREFIX"}


def test_every_setting_says_what_it_is() -> None:
    """No setting without a description."""
    undescribed = [
        f"{settings.__name__}.{name}"
        for _, settings in settings_catalogue._SECTIONS
        for name, field in settings.model_fields.items()
        if issubclass(settings, BaseSettings) and not field.description
    ]
    assert not undescribed
