"""`python -m services.activation_engine [serve|migrate]`: run the engine, or bring its database schema up to date."""

from __future__ import annotations

import sys

from services.activation_engine.app import MIGRATIONS, serve
from services.activation_engine.settings import EngineSettings
from services.activation_engine.tables import SCHEMA
from services.runtime.logs import configure_logs
from services.runtime.migrations import upgrade
from services.runtime.process import run
from services.runtime.settings import SharedSettings


def main(arguments: list[str]) -> int:
    """Run the named command; the exit status for the shell."""
    command = arguments[0] if arguments else "serve"
    shared = SharedSettings()
    configure_logs(service="engine", level=shared.log_level)
    if command == "serve":
        return run(lambda stopping: serve(shared, EngineSettings(), stopping=stopping))
    if command == "migrate":
        upgrade(shared.database_url, schema=SCHEMA, folder=MIGRATIONS)
        return 0
    print("usage: python -m services.activation_engine [serve|migrate]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
