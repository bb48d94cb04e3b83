"""Runs this service's revisions in schema `ingest`."""

from services.runtime.migrations import run_environment

run_environment()
