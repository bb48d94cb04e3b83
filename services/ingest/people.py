"""What a record says about its person, because the engine looks nothing up: the role, and whether staff."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Any

from services.ingest.events import ID_BYTES_MAX


class StaffRule:
    """Globs on user id and e-mail that mark the vendor's own people; case does not matter."""

    def __init__(self, globs: Sequence[str]) -> None:
        patterns = [translate(glob.strip()) for glob in globs if glob.strip()]
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def covers(self, user_id: str | None, email: Any) -> bool:
        """Whether this person's events must count for nothing."""
        if self._pattern is None:
            return False
        given = (user_id, email if isinstance(email, str) else None)
        return any(value is not None and self._pattern.match(value[:ID_BYTES_MAX]) is not None for value in given)


def role_of(value: Any) -> str | None:
    """The role trait if it is usable as one."""
    if not isinstance(value, str):
        return None
    return value.strip()[: ID_BYTES_MAX // 4] or None


def email_of(value: Any) -> str | None:
    """The e-mail trait if it is short enough to be one."""
    return value if isinstance(value, str) and 0 < len(value) <= ID_BYTES_MAX else None
