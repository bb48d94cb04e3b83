"""Why a verb of an operator is refused; nothing has been changed then."""

from __future__ import annotations

PARTITION_UNKNOWN = ("partition_unknown", "No such partition; GET /v1/partitions lists them.")
NOT_STOPPED = ("partition_not_stopped", "The partition is not stopped: there is nothing to decide.")
PARTITION_CHANGED = ("partition_changed", "Somebody else claimed or resumed it just now; look at it again.")
LETTER_UNKNOWN = ("dead_letter_unknown", "No such dead letter; GET /v1/dead-letters lists those that are kept.")
LETTER_ERASED = ("dead_letter_erased", "Its record was erased; there is nothing to send again.")


class Refused(Exception):
    """`code` is stable for programs, `message` says in one sentence what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
