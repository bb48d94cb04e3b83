"""Alembic's entry to the notifier's migrations."""

from services.runtime.migrations import run_environment

run_environment()
