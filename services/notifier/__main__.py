"""`python -m services.notifier [serve|migrate|reencrypt]`: run the service, bring its database schema up to date, or
encrypt all secrets of endpoints with the current key."""

from __future__ import annotations

import sys

from services.notifier.app import MIGRATIONS, SCHEMA, reencrypt, serve
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
        jobs={"reencrypt": reencrypt},
        serve=lambda shared, settings, stopping: serve(shared, settings, stopping=stopping),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
