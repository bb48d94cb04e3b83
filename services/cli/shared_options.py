"""Options that several verbs have, declared once, and what a verb gets of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from inspect import Parameter, Signature
from typing import Any


def composed(verb: Callable[..., None], **parts: Callable[..., Any]) -> Callable[..., None]:
    """What the command line runs for a `verb` that leaves some parameters to `parts`: in place of such a parameter it
    takes the options of the part of that name, and gives the verb what the part makes of them."""
    own = _parameters(verb)
    shared = {name: _parameters(part) for name, part in parts.items()}

    def run(**given: Any) -> None:
        made = {
            name: part(**{option.name: given[option.name] for option in shared[name]}) for name, part in parts.items()
        }
        verb(**made, **{option.name: given[option.name] for option in own if option.name not in parts})

    options = [option for one in own for option in shared.get(one.name, [one])]
    # Two parts may have one in common, such as the key: it is taken once, where the last of them has it.
    taken = [*{option.name: option for option in reversed(options)}.values()][::-1]
    run.__name__, run.__doc__ = verb.__name__, verb.__doc__
    # Typer reads a command's parameters from its signature; arguments come before options there.
    run.__signature__ = Signature(sorted(taken, key=lambda one: one.kind))  # type: ignore[attr-defined]
    return run


def asking(service: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives the verb, as its `client`, what `service` makes of the options that say where that is."""
    return lambda verb: composed(verb, client=service)


def may_ask(service: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same for a verb that can do without: as its `find_client`, which it calls once it needs the client."""
    return lambda verb: composed(verb, find_client=later(service))


def later(part: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """A part that gives the verb a function for what `part` makes, instead of making it at once."""

    def call(**given: Any) -> Callable[[], Any]:
        return partial(part, **given)

    call.__signature__ = Signature(_parameters(part))  # type: ignore[attr-defined]
    return call


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    return list(inspect.signature(function, eval_str=True).parameters.values())
