"""The nouns of the command line, such as `account`: the verbs of one are imported once it is asked for, so that nothing
else waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from services.cli.examples import example_text, in_order

# What each is for, and the modules of services.cli.commands that hold its verbs; the first has the `app` of all.
NOUNS = {
    "event": ("Send product events, follow what becomes of them, list their names.", ("events",)),
    "account": ("List, show and explain accounts, and say what the product cannot.", ("accounts", "account_orders")),
    "plan": ("Write, check, try out, publish and retire plans.", ("plans",)),
    "signal": ("Follow signals, and list their types.", ("signals",)),
    "insight": ("See what all accounts of a plan together tell.", ("insights",)),
    "endpoint": ("Add, change, try and remove webhook endpoints.", ("endpoints", "endpoint_terms", "replays")),
    "delivery": ("List, show and retry deliveries.", ("deliveries",)),
    "key": ("Create, list, change and revoke API keys.", ("keys",)),
    "ops": ("Operate the engine: partitions, dead letters, audits.", ("operations",)),
}


def add_nouns(application: typer.Typer) -> None:
    """Add all of them to the command."""
    for noun, (purpose, _) in NOUNS.items():
        verbs = typer.Typer(cls=_Noun, help=purpose, no_args_is_help=True)
        application.add_typer(verbs, name=noun, rich_help_panel="Operate" if noun == "ops" else "Use")


def finish_help(verbs: Mapping[str, Any], noun: str = "") -> None:
    """Examples below the help of each verb, and no box around its options: a narrow one would cut off their names."""
    for name, verb in verbs.items():
        verb.epilog = example_text(f"{noun} {name}".strip())
        verb.rich_markup_mode = None


class _Noun(TyperGroup):
    """One noun."""

    def __init__(self, *, name: str, commands: object, **given: Any) -> None:
        super().__init__(name=name, commands=_Verbs(name), **given)  # type: ignore[arg-type]

    def list_commands(self, ctx: Any) -> list[str]:
        return in_order(super().list_commands(ctx), self.name or "")


class _Verbs(Mapping[str, Any]):
    """The verbs of a noun by name."""

    def __init__(self, noun: str) -> None:
        self._noun = noun

    @cached_property
    def _verbs(self) -> Mapping[str, Any]:
        _, names = NOUNS[self._noun]
        first, *_ = [import_module(f"services.cli.commands.{name}") for name in names]
        verbs = get_group(first.app).commands
        finish_help(verbs, self._noun)
        return verbs

    def __getitem__(self, name: str) -> Any:
        return self._verbs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._verbs)

    def __len__(self) -> int:
        return len(self._verbs)
