"""Programs that run the published clients, and what they send to."""

from __future__ import annotations

import pytest

from tests import programs
from tests.integration.ingest_process import service

__all__ = ["service"]


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js, with the published packages installed."""
    return programs.node()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return programs.path_of("chromium", "chromium-browser", "google-chrome")
