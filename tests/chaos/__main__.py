"""`python -m tests.chaos --seed N --minutes M`: random faults for so long; without minutes every fault once."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from pathlib import Path

from tests.chaos.run import Terms, chaos_run
from tests.fakes.private_servers import private_servers

# Of random faults half come before the one before them is overcome everywhere.
_ASKED_AT_RANDOM = 0.5


def main() -> None:
    """Run, print the figures; a violation ends with its text, the seed, and where the logs are."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="order of faults, load and answers")
    parser.add_argument("--minutes", type=float, default=None, help="how long; every fault once if left out")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="firstvalue-chaos-"))
    print(f"seed {chosen.seed}, logs in {folder}")
    with private_servers("chaos") as servers:
        asked = 1.0 if chosen.minutes is None else _ASKED_AT_RANDOM
        terms = Terms(seed=chosen.seed, minutes=chosen.minutes, asked=asked)
        figures = asyncio.run(chaos_run(terms, servers, folder))
    print("  ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
