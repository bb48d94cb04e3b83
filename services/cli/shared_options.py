"""Options that several verbs have, declared once, and what a verb gets of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any


def composed(verb: Callable[..., None], **parts: Callable[..., Any]) -> Callable[..., None]:
    """What the command line runs for a `verb` that leaves some parameters to `parts`: in place of such a parameter it
    takes the options of the part of that name, and gives the verb what the part makes of them."""
    own = _parameters(verb)
    shared = {name: _parameters(part) for name, part in parts.items()}

    def run(**given: Any) -> None:
        made = {
            name: part(**{option.name: given.pop(option.name) for option in shared[name]})
            for name, part in parts.items()
        }
        verb(**given, **made)

    taken = [option for one in own for option in shared.get(one.name, [one])]
    run.__name__, run.__doc__ = verb.__name__, verb.__doc__
    # Typer reads a command's parameters from its signature; arguments come before options there.
    run.__signature__ = Signature(sorted(taken, key=lambda one: one.kind))  # type: ignore[attr-defined]
    return run


def asking(service: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives the verb, as its `client`, what `service` makes of the options that say where that is."""
    return lambda verb: composed(verb, client=service)


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())
