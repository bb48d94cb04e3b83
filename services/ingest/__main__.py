"""`python -m services.ingest [serve|migrate]`: run the service, or bring its database schema up to date."""

from __future__ import annotations

import sys

from services.ingest.app import MIGRATIONS, serve
from services.ingest.key_store import SCHEMA
from services.ingest.settings import IngestSettings
from services.runtime.command import run_command


def main(arguments: list[str]) -> int:
    """Run the named command; the exit status for the shell."""
    return run_command(
        arguments,
        service="ingest",
        schema=SCHEMA,
        migrations=MIGRATIONS,
        settings=IngestSettings,
        serve=lambda shared, settings, stopping: serve(shared, settings, stopping=stopping),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
