"""What no line of any service may hold, whichever test made it write: the logs of a whole session are searched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# Whole API keys, webhooks' secrets, admin keys of tests, passwords in addresses; what moves a terminal's cursor.
_FORBIDDEN = re.compile(
    rb"fv_[a-z2-7]{13}_[a-z2-7]{20}|whs(?:ec|k)_[\w+/]{24}|planted-|admin-key|an admin key|\w+://[^/\s:]*:[^/\s@]+@|[\x1b\r]"
)
_OF_A_SERVICE = b'{"service": '


def forbidden(folder: Path) -> Iterator[str]:
    """Places in the service logs below `folder`, each with what is wrong there."""
    for path in sorted(folder.rglob("*.log")):
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            if line.startswith(_OF_A_SERVICE) and (found := _FORBIDDEN.search(line)):
                yield f"{path}:{number}: {found[0]!r}"
