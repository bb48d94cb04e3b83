"""`python -m services.activation_engine [serve|migrate]`: run the service, or bring its database schema up to date."""

from __future__ import annotations

import sys

from services.activation_engine.app import MIGRATIONS, SCHEMA, serve
from services.activation_engine.settings import EngineSettings
from services.runtime.command import run_command


def main(arguments: list[str]) -> int:
    """Run the named command; the exit status for the shell."""
    return run_command(
        arguments,
        service="engine",
        schema=SCHEMA,
        migrations=MIGRATIONS,
        settings=EngineSettings,
        serve=lambda shared, settings, stopping: serve(shared, settings, stopping=stopping),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
