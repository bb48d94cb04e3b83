"""Tells people what the stack is doing: lines on standard error, with a moving last line on a terminal."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status


class Progress:
    """`say` prints a line that stays; `doing` shows what is going on just now, on a terminal only."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """Prints one line."""
        # Whoever read the lines may be gone; the stack goes on.
        with suppress(BrokenPipeError):
            self._console.print(text, markup=False)

    def doing(self, text: str) -> None:
        """Replaces the moving last line."""
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def idle(self) -> None:
        """Takes the moving last line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None


class Silence(Progress):
    """Says nothing: for tests and benchmarks."""

    def say(self, text: str) -> None:
        """Drops the line."""

    def doing(self, text: str) -> None:
        """Drops the line."""
