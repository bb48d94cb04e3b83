"""Runs this service's revisions in schema `activation`."""

from services.runtime.migrations import run_environment

run_environment()
