"""`make soak-ingest SECONDS=600`: ingest at full load through outages of Kafka that long, and a leaderless minute."""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from tests.bench.report import print_header, print_json
from tests.soak.run import Terms, soak, surroundings


def main() -> None:
    """Run and print the figures; a violation ends with its text."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="length of the outages by kill -9 and by SIGSTOP")
    parser.add_argument("--leaderless-seconds", type=float, default=60, help="time without leaders of some partitions")
    chosen = parser.parse_args()
    terms = Terms(
        outage_seconds=chosen.seconds,
        leaderless_seconds=chosen.leaderless_seconds,
        healthy_seconds=5,
        ack_seconds=5,
    )
    print_header(
        "ingest: Kafka away at full load", {"seconds": chosen.seconds, "leaderless": chosen.leaderless_seconds}
    )
    with surroundings(terms) as around, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print_json(runner.run(soak(terms, around)))


if __name__ == "__main__":
    main()
