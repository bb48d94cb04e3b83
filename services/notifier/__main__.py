"""`python -m services.notifier [serve|migrate]`: run the notifier, or bring its database schema up to date."""

from __future__ import annotations

import sys

from services.notifier.app import MIGRATIONS, SCHEMA, serve
from services.notifier.settings import NotifierSettings
from services.runtime.logs import configure_logs
from services.runtime.migrations import upgrade
from services.runtime.process import run
from services.runtime.settings import SharedSettings


def main(arguments: list[str]) -> int:
    """Run the named command; the exit status for the shell."""
    command = arguments[0] if arguments else "serve"
    shared = SharedSettings()
    configure_logs(service="notifier", level=shared.log_level)
    if command == "serve":
        return run(lambda stopping: serve(shared, NotifierSettings(), stopping=stopping))
    if command == "migrate":
        upgrade(shared.database_url, schema=SCHEMA, folder=MIGRATIONS)
        return 0
    print("usage: python -m services.notifier [serve|migrate]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
