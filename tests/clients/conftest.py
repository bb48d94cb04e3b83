"""Programs that run the published clients."""

from __future__ import annotations

import pytest

from tests import programs


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js, with the published packages installed."""
    return programs.node()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return programs.path_of("chromium", "chromium-browser", "google-chrome")
