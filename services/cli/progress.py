"""How far a long piece of work is: a bar on standard error, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What is done before anybody wonders whether it is needs no bar.
_WORTH_A_BAR = 1_000


@contextmanager
def counting(what: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes how many more are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal or total < _WORTH_A_BAR
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
