"""Why a verb of an operator is refused; nothing has been changed then."""

from __future__ import annotations


class Refused(Exception):
    """`code` is stable for programs, `message` says in one sentence what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
