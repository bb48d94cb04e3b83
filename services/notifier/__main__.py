"""`python -m services.notifier [serve|migrate]`: run the service, or bring its database schema up to date."""

from __future__ import annotations

import sys

from services.notifier.app import MIGRATIONS, SCHEMA, serve
from services.notifier.settings import NotifierSettings
from services.runtime.command import run_command


def main(arguments: list[str]) -> int:
    """Run the named command; the exit status for the shell."""
    return run_command(
        arguments,
        service="notifier",
        schema=SCHEMA,
        migrations=MIGRATIONS,
        settings=NotifierSettings,
        serve=lambda shared, settings, stopping: serve(shared, settings, stopping=stopping),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
