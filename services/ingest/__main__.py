"""`python -m services.ingest [serve|migrate]`: run ingest, or bring its database schema up to date."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from services.ingest.app import MIGRATIONS, serve
from services.ingest.key_store import SCHEMA
from services.ingest.settings import IngestSettings
from services.runtime.kafka import TopicProblem
from services.runtime.logs import configure_logs
from services.runtime.migrations import StaleSchema, upgrade
from services.runtime.process import run
from services.runtime.settings import SharedSettings, settings_advice


def main(arguments: list[str]) -> int:
    """Run the named command; the exit status for the shell."""
    command = arguments[0] if arguments else "serve"
    if command not in ("serve", "migrate"):
        print("usage: python -m services.ingest [serve|migrate]", file=sys.stderr)
        return 2
    try:
        shared, settings = SharedSettings(), IngestSettings()
    except ValidationError as error:
        print(settings_advice(error), file=sys.stderr)
        return 1
    configure_logs(service="ingest", level=shared.log_level)
    if command == "migrate":
        upgrade(shared.database_url, schema=SCHEMA, folder=MIGRATIONS)
        return 0
    try:
        return run(lambda stopping: serve(shared, settings, stopping=stopping))
    except (StaleSchema, TopicProblem) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
