"""`python -m tests.chaos.planted`: a chaos run for each planted bug; one that finds nothing is worth nothing."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.bugs import BUGS
from tests.chaos.run import Terms, Untried, chaos_run
from tests.fakes.private_servers import private_servers


def is_found(name: str, *, seed: int = 1) -> bool:
    """Whether a run with the bug is red, and by the bug: a busy machine makes it red too."""
    bug = BUGS[name]
    command = (sys.executable, "-m", "tests.chaos.bugs", name, "serve")
    with private_servers("planted") as servers, tempfile.TemporaryDirectory() as folder:
        terms = Terms(seed=seed, faults=bug.faults, commands={bug.kind: command})
        try:
            asyncio.run(chaos_run(terms, servers, Path(folder)))
        except (AssertionError, Untried) as error:
            if any(words in str(error) for words in bug.told):
                print(f"found: {name}: {str(error)[:300]}", flush=True)
                return True
            print(error)
    print(f"NOT FOUND: {name}")
    return False


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BUGS)
    found = [is_found(name) for name in chosen]
    sys.exit(not all(found))
